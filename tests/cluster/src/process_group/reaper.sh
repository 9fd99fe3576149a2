# Leads a process group: ends it and removes its folder as soon as the owner is gone.
# $1: path of the folder without its random end. stdout: one line, the folder made.
# stdin: a pipe that the owner holds and never writes to, so that it ends with the owner.
trap '' HUP INT QUIT PIPE TERM
dir=$(mktemp -d "$1XXXXXXXX") || exit 1
printf '%s\n' "$dir"
exec >/dev/null
while read -r _; do :; done

member() { # pid state parent group: a live process of the group, other than this shell and its helpers?
    [ "$4" = $$ ] && [ "$1" != $$ ] && [ "$3" != $$ ] && case $2 in [ZX]*) false ;; esac && members="$members $1"
}

find_members() {
    members=
    if [ -e /proc/self/stat ]; then
        for stat in /proc/[0-9]*/stat; do
            { read -r line <"$stat"; } 2>/dev/null || continue
            # pid (name, which may hold anything) state parent group …
            pid=${line%% *}
            set -- ${line##*) }
            member "$pid" "$1" "$2" "$3"
        done
    else
        all=$(exec ps -A -o pid= -o stat= -o ppid= -o pgid=)
        while read -r pid state parent group; do
            member "$pid" "$state" "$parent" "$group"
        done <<END
$all
END
    fi
    [ -n "$members" ]
}

kill -TERM 0
rounds=0
while find_members; do
    rounds=$((rounds + 1))
    # A second to end well: kube-apiserver never does when etcd is faster.
    [ $rounds -gt 20 ] && kill -KILL $members
    sleep 0.05
done
# Nobody is left to write there; should the removal fail all the same, don't try for ever.
rounds=0
until rm -rf "$dir" || [ $rounds -gt 100 ]; do
    rounds=$((rounds + 1))
    sleep 0.05
done
kill -KILL 0
