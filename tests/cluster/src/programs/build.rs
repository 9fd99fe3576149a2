//! Builds programs with Go.
//!
//! In go the programs that are missing and the Go modules that pin them; out come files in the user's cache, each put
//! there in one step when it is complete. Meanwhile a line on the terminal says what is going on.

use std::{
    collections::VecDeque,
    env,
    fmt::Display,
    fs::{self, File, TryLockError},
    io::{BufRead, BufReader, ErrorKind, IsTerminal, Write, stderr},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Places, Program, module_folder};
use crate::ProcessGroup;

/// How much of Go's output an error shows, in lines.
const SHOWN_LINES: usize = 20;

/// Builds `missing` into the cache, or waits for another process that does.
pub(super) fn build(missing: &[&Program], places: &Places) -> Result<()> {
    let Some(first) = missing.first() else { return Ok(()) };
    check_go(missing, go_version(first)?.as_deref())?;

    fs::create_dir_all(&places.cache).with_context(|| format!("create cache folder {}", places.cache.display()))?;
    let _lock = lock(&places.cache.join("lock"))?;
    for program in missing {
        // The process that had the lock before may have built it.
        if !places.cached(program).is_file() {
            build_one(program, places).with_context(|| format!("build {} {}", program.name, program.version()))?;
        }
    }
    Ok(())
}

/// `go`, where a go.mod is that pins programs; it fetches no other Go by itself, unless the user wants that.
fn go(verb: &str, folder: &str) -> Command {
    let mut go = Command::new("go");
    go.arg(verb).current_dir(module_folder(folder));
    if env::var_os("GOTOOLCHAIN").is_none() {
        go.env("GOTOOLCHAIN", "local");
    }
    go
}

/// The output of `go version`; None without Go.
fn go_version(program: &Program) -> Result<Option<String>> {
    match go("version", program.folder).output() {
        Ok(output) => Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("run go version"),
    }
}

/// One sentence when the Go that prints `version` can't build `missing`.
fn check_go(missing: &[&Program], version: Option<&str>) -> Result<()> {
    let needed = missing.iter().map(|program| program.go_version()).max_by_key(|version| numbers(version));
    let needed = needed.unwrap_or_default();
    // "go version go1.26.8 linux/amd64"; what is not a release is trusted to be new.
    let found = version.map(|line| line.split(' ').find_map(|word| word.strip_prefix("go1.")).unwrap_or_default());
    let problem = match found {
        None => "no go is on the PATH".to_owned(),
        Some(minor) if minor.is_empty() || numbers(&format!("1.{minor}")) >= numbers(needed) => {
            return Ok(());
        }
        Some(minor) => format!("the go on the PATH is 1.{minor}"),
    };
    let names: Vec<_> = missing.iter().map(|program| format!("{} {}", program.name, program.version())).collect();
    bail!(
        "the tests lack {}: building takes Go {needed} or newer, but {problem}; install it from \
         https://go.dev/dl, or set KUBEBUILDER_ASSETS to a folder that has these programs",
        names.join(", "),
    )
}

/// `1.26.0` as numbers that compare.
fn numbers(version: &str) -> Vec<u32> {
    let numbers = version.split(|c: char| !c.is_ascii_digit());
    numbers.map_while(|number| number.parse().ok()).collect()
}

/// Takes the lock that lets one process at a time build; it is free again when the file is dropped or this process ends.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("create lock file {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => say("waiting: another process builds programs for the tests"),
        Err(TryLockError::Error(_)) => {}
    }
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

fn build_one(program: &Program, places: &Places) -> Result<()> {
    let title = format!("{} {}", program.name, program.version());
    let target = places.cached(program);
    let folder = target.parent().context("name the program's folder")?;
    say(format_args!("building {title} once, into {}", folder.display()));
    let started = Instant::now();

    // Go ends with this process and leaves nothing; on the cache's file system, so that the result can be renamed.
    let group = ProcessGroup::new_in(&places.cache, "building-")?;
    let package = format!("{}{}", program.module, program.package);
    let go = |verb| {
        let mut go = go(verb, program.folder);
        go.args(["-mod=readonly", "-tags", program.tags()]);
        go.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOTMPDIR", group.dir());
        go
    };

    // Listing downloads the modules. Stale is what Go's build cache lacks; the program itself is, always.
    let list = group.dir().join("packages");
    let mut listing = go("list");
    listing.args(["-deps", "-f", "{{if and .Stale (ne .Name \"main\")}}{{.ImportPath}}{{end}}", &package]);
    listing.stdout(File::create(&list).with_context(|| format!("create {}", list.display()))?);
    let mut modules = 0;
    run(&group, &mut listing, |line| {
        modules += usize::from(line.is_some_and(|line| line.starts_with("go: downloading ")));
        format!("{title}: {modules} modules downloaded, {}", Elapsed(started))
    })?;
    let packages = fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?.lines().count();

    let result = group.dir().join(program.name);
    let mut building = go("build");
    building.args(["-v", "-ldflags", &program.link_flags(), "-o"]).arg(&result).arg(&package);
    building.stdout(Stdio::null());
    let mut built = 0;
    run(&group, &mut building, |line| {
        built += usize::from(line.is_some_and(is_package));
        let now = if built < packages { format!("{built} of {packages} packages") } else { "linking".to_owned() };
        format!("{title}: {now}, {}", Elapsed(started))
    })?;

    // Also when the power fails, what has its name is complete.
    let written = File::open(&result).and_then(|file| file.sync_all());
    written.with_context(|| format!("write {}", result.display()))?;
    fs::create_dir_all(folder).with_context(|| format!("create folder {}", folder.display()))?;
    fs::rename(&result, &target).with_context(|| format!("rename {} to {}", result.display(), target.display()))?;
    say(format_args!("built {title} in {}", Elapsed(started)));
    Ok(())
}

/// Runs Go to its end. `progress` takes each line of its standard error, or None each second, and says how far it is.
fn run(group: &ProcessGroup, command: &mut Command, mut progress: impl FnMut(Option<&str>) -> String) -> Result<()> {
    let mut child = group.spawn(command.stderr(Stdio::piped()))?;
    let (sender, lines) = channel();
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
    }

    let mut ticker = Ticker::default();
    let mut said = VecDeque::new();
    loop {
        let line = match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let text = progress(line.as_deref());
        ticker.show(&text);
        said.extend(line.filter(|line| !is_package(line)));
        if said.len() > SHOWN_LINES {
            said.pop_front();
        }
    }
    let status = child.wait().context("wait for go")?;
    ticker.clear();
    if !status.success() {
        bail!("go ended with {status}:\n{}", Vec::from(said).join("\n"));
    }
    Ok(())
}

/// Is this line of `go build -v` a package's name, rather than something said about one?
fn is_package(line: &str) -> bool {
    !line.contains(' ')
}

/// Writes a line for the person who waits. Not `eprintln!`: the test harness keeps that until the test has ended.
fn say(line: impl Display) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(stderr(), "{line}");
}

/// A line that is rewritten in place on a terminal, and printed now and then elsewhere (a CI log).
struct Ticker {
    terminal: bool,
    shown: Instant,
}

impl Default for Ticker {
    fn default() -> Self {
        Self { terminal: stderr().is_terminal(), shown: Instant::now() }
    }
}

impl Ticker {
    fn show(&mut self, line: &str) {
        let pause = if self.terminal { Duration::from_millis(200) } else { Duration::from_secs(15) };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[K{line}");
        } else {
            say(line);
        }
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// The time since, as a person says it: `1 min 12 s`.
struct Elapsed(Instant);

impl Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.elapsed().as_secs() {
            seconds @ 0..60 => write!(f, "{seconds} s"),
            seconds => write!(f, "{} min {} s", seconds / 60, seconds % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELM: Program = Program { go_mod: "go 1.26.0\nrequire helm.sh/helm/v4 v4.3.1\n", ..Program::HELM };

    fn problem(version: Option<&str>) -> Option<String> {
        Some(check_go(&[&HELM], version).err()?.to_string())
    }

    #[test]
    fn a_missing_go_is_one_sentence_that_says_what_to_do() {
        assert_eq!(
            problem(None).unwrap(),
            "the tests lack helm v4.3.1: building takes Go 1.26.0 or newer, but no go is on the PATH; \
             install it from https://go.dev/dl, or set KUBEBUILDER_ASSETS to a folder that has these programs"
        );
    }

    #[test]
    fn an_old_go_is_named() {
        let old = problem(Some("go version go1.25.9 linux/amd64\n")).unwrap();
        assert!(old.contains("but the go on the PATH is 1.25.9;"), "{old}");
    }

    #[test]
    fn a_new_go_builds() {
        for version in ["go1.26.0", "go1.26.8", "go1.27rc1", "go1.30", "devel go1.28-0f3a3d7"] {
            let line = format!("go version {version} linux/amd64\n");
            assert_eq!(problem(Some(&line)), None, "{line}");
        }
    }

    #[test]
    fn a_failed_build_shows_what_go_said_and_not_the_packages_that_it_built() {
        let group = ProcessGroup::new("cluster-test-").unwrap();
        let mut go = Command::new("/bin/sh");
        go.args(["-c", "{ echo fine/package; echo '# bad/package'; echo 'x.go:1:2: undefined: y'; } >&2; exit 3"]);
        let mut packages = 0;
        let error = run(&group, &mut go, |line| {
            packages += usize::from(line.is_some_and(is_package));
            String::new()
        });
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "go ended with exit status: 3:\n# bad/package\nx.go:1:2: undefined: y");
        assert_eq!(packages, 1);
    }
}
