use super::told;

#[test]
fn patterns_match_and_fail_as_pythons() {
    let cases = [
        (r#"{{ 'foobar' | regex_replace('(?P<x>o+)(b)', '<\\g<x>|\\2|\\g<0>>') }}"#, "f<oo|b|oob>ar"),
        ("{{ 'foobar' | regex_replace('o*', '-') }}", "-f--b-a-r-"),
        (r#"{{ 'a.b' | regex_replace('.', 'x') }} {{ 'a.b' | regex_replace('\\.', 'x') }}"#, "xxx axb"),
        ("{{ 'Foo' | regex_search('(?i)fOO') }} {{ 'Foo' | regex_search('fOO') }}", "True False"),
        (
            "{{ 'bar' | regex_match('^Foo') }} {{ 'Foobar' | regex_match('Foo') }} {{ 'xFoo' | regex_match('Foo') }}",
            "False True False",
        ),
        (r#"{{ 'a1٣' | regex_replace('\\d', '#') }} {{ 'é_ ß' | regex_replace('\\w', '#') }}"#, "a## ## #"),
        (r#"{{ 'aa bb' | regex_replace('(\\w)\\1', '<\\1>') }}"#, "<a> <b>"),
        (r#"{{ 'price: 5' | regex_search('(?<=: )\\d') }} {{ 'ab' | regex_search('a(?!b)') }}"#, "True False"),
        ("{{ 'x' | regex_search('(') }}", "Template Error: missing ) at position 1"),
        ("{{ 'x' | regex_search('[') }}", "Template Error: unterminated character set at position 1"),
        ("{{ 'x' | regex_search('*') }}", "Template Error: nothing to repeat at position 0"),
        ("{{ 'x' | regex_search('a**') }}", "Template Error: multiple repeat at position 2"),
        ("{{ 'x' | regex_search('(?P<n>x)(?P=m)') }}", "Template Error: unknown group at position 11"),
        (r#"{{ 'x' | regex_search('\\1') }}"#, "Template Error: invalid group reference at position 2"),
        (r#"{{ 'x' | regex_replace('x', '\\1') }}"#, "Template Error: invalid group reference"),
        (r#"{{ 'x' | regex_replace('x', '\\g<no>') }}"#, "Template Error: unknown group"),
        ("{{ 'x' | regex_search('[b-a]') }}", "Template Error: bad character range at position 4"),
        ("{{ 'x' | regex_search('x{2,1}') }}", "Template Error: min repeat greater than max repeat at position 2"),
        (r#"{{ 'line1\nline2' | regex_replace('(?m)^', '> ') }}"#, "> line1\n> line2"),
        (r#"{{ 'a\nb' | regex_search('a.b') }} {{ 'a\nb' | regex_search('(?s)a.b') }}"#, "False True"),
        ("{{ 5 | regex_search('5') }} {{ 'x' | regex_search(5) }} {{ nope | regex_search('x') }}", "None None None"),
        (r#"{{ 'aXbX' | regex_replace('X$', '') }} {{ 'aX\n' | regex_replace('X\\Z', '') }}"#, "aXb aX\n"),
        (r#"{{ 'a b' | regex_replace('(?x) a \\s b # all', 'y') }}"#, "y"),
        ("{{ 'aaa' | regex_replace('a{,2}', 'x') }}", "xxx"),
        (r#"{{ '(x)' | regex_replace('[()]', '') }} {{ 'a-b' | regex_replace('[a\\-]', '') }}"#, "x b"),
        // Fuzzy matching is no part of this engine. Text that never matches would tell nobody why.
        (
            "{{ 'abc' | regex_search('(?:abd){e<=1}') }}",
            "Template Error: fuzzy matching ({e<=1}) is not supported at position 7",
        ),
        (
            "{{ 'abc' | regex_match('abd{i<=1,1s+2d<3}') }}",
            "Template Error: fuzzy matching ({i<=1,1s+2d<3}) is not supported at position 3",
        ),
        (
            "{{ 'abc' | regex_replace('a{1<=e<=3:[a-z]}', 'x') }}",
            "Template Error: fuzzy matching ({1<=e<=3:[a-z]}) is not supported at position 1",
        ),
        (
            "{{ 'abc' | regex_search('(?x)a {e <= 1}') }}",
            "Template Error: fuzzy matching ({e <= 1}) is not supported at position 5",
        ),
        ("{{ '{d}' | regex_search('{d}') }}", "Template Error: nothing for fuzzy constraint at position 0"),
        ("{{ 'a' | regex_search('a{1,2}{e<=1}') }}", "Template Error: nothing for fuzzy constraint at position 6"),
        ("{{ '${data}' | regex_replace('${data}', 'x') }}", "Template Error: expected } at position 3"),
        ("{{ 'a' | regex_search('a{e<=}') }}", "Template Error: bad fuzzy cost limit at position 5"),
        ("{{ 'a' | regex_search('a{e<=1:(}') }}", "Template Error: expected character set at position 7"),
        (r#"{{ 'a{x}b{1e}' | regex_search('a{x}b{1e}') }} {{ 'a{e}' | regex_search('a\\{e}') }}"#, "True True"),
        ("{{ 'a{' | regex_search('[{e<=1}]$') }} {{ 'a{}' | regex_search('a{}') }}", "True True"),
    ];
    for (source, expected) in cases {
        assert_eq!(told(source), expected, "{source}");
    }
}
