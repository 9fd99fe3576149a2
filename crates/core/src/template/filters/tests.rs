use super::*;
use crate::template::{Mode, Template};

/// Each case has the arguments as JSON, the value that the filter is applied to before them.
#[test]
fn filters_give_what_oncall_gives() {
    let cases = [
        ("iso8601_to_time", "[\"2023W335T10\"]", Ok("2023-08-18 10:00:00")),
        ("iso8601_to_time", "[\"2018-12-25T15:47:47.377363503Z\"]", Ok("2018-12-25 15:47:47.377363+00:00")),
        ("iso8601_to_time", "[\"2023-W33-5T10:11\"]", Ok("2023-08-18 10:11:00")),
        ("iso8601_to_time", "[\"2023-W33-5\"]", Ok("2023-08-18 00:00:00")),
        ("iso8601_to_time", "[\"2018-12-25T15:47:47.377363503+00:00\"]", Ok("2018-12-25 15:47:47.377363+00:00")),
        ("iso8601_to_time", "[\"2023-08-18\"]", Ok("2023-08-18 00:00:00")),
        ("iso8601_to_time", "[\"2023W335\"]", Ok("2023-08-18 00:00:00")),
        ("iso8601_to_time", "[\"2023-08-18T16:34:27,678\"]", Ok("2023-08-18 16:34:27.678000")),
        ("iso8601_to_time", "[\"2023-08-18T16:34:60Z\"]", Ok("None")),
        ("iso8601_to_time", "[\"10000-01-01T00:00:00\"]", Ok("None")),
        ("iso8601_to_time", "[\"x\"]", Ok("None")),
        ("datetimeformat", "[null]", Ok("None")),
        ("datetimeformat", "[\"x\"]", Ok("None")),
        ("datetimeformat_as_timezone", "[5]", Ok("None")),
        ("datetimeformat_as_timezone", "[null]", Ok("None")),
        ("timestamp_to_datetime", "[-1]", Ok("1969-12-31 23:59:59")),
        ("timestamp_to_datetime", "[-62135510400]", Ok("0001-01-02 00:00:00")),
        ("timestamp_to_datetime", "[-10000000000000000000]", Err("timestamp out of range for platform time_t")),
        ("timestamp_to_datetime", "[0]", Ok("1970-01-01 00:00:00")),
        ("timestamp_to_datetime", "[true]", Ok("1970-01-01 00:00:01")),
        ("timestamp_to_datetime", "[1000000000000000000]", Err("[Errno 75] Value too large for defined data type")),
        ("timestamp_to_datetime", "[1692376467]", Ok("2023-08-18 16:34:27")),
        ("timestamp_to_datetime", "[253402300799]", Ok("9999-12-31 23:59:59")),
        ("timestamp_to_datetime", "[-62135596800]", Ok("None")),
        ("timestamp_to_datetime", "[\"5\"]", Ok("None")),
        ("timestamp_to_datetime", "[67768036191676799]", Ok("None")),
        ("timedeltaparse", "[\"99999999999d\"]", Err("Python int too large to convert to C int")),
        ("timedeltaparse", "[\"999999999d\"]", Ok("999999999 days, 0:00:00")),
        ("timedeltaparse", "[\"5m\\n\"]", Ok("0:05:00")),
        ("timedeltaparse", "[\"1w\"]", Ok("7 days, 0:00:00")),
        ("timedeltaparse", "[\"86399999999999999s\"]", Err("Python int too large to convert to C int")),
        ("timedeltaparse", "[\"1000000000d\"]", Err("days=1000000000; must have magnitude <= 999999999")),
        ("timedeltaparse", "[\"99999999999999999999w\"]", Err("Python int too large to convert to C int")),
        ("timedeltaparse", "[\"-1s\"]", Ok("-1 day, 23:59:59")),
        ("timedeltaparse", "[\"\"]", Ok("None")),
        ("timedeltaparse", "[\"5m\\n\\n\"]", Ok("None")),
        ("timedeltaparse", "[[]]", Ok("None")),
        (
            "datetimeparse",
            "[\"2023-8-1\", \"%d%d\"]",
            Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
        ),
        (
            "datetimeparse",
            "[\"+02:00:30\", \"%d%d\"]",
            Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
        ),
        (
            "datetimeparse",
            "[\"+02:0030\", \"%d%d\"]",
            Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
        ),
        ("datetimeparse", "[\"16:34 UTC\", \"%H:%M %Z\"]", Ok("1900-01-01 16:34:00")),
        (
            "datetimeparse",
            "[\"Friday, August 18 2023 04:34 PM\", \"%A, %B %d %Y %I:%M %p\"]",
            Ok("2023-08-18 16:34:00"),
        ),
        (
            "datetimeparse",
            "[\"16:34 CET\", \"%d%d\"]",
            Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
        ),
        (
            "datetimeparse",
            "[\"Fri 18 Aug 2023\", \"%d%d\"]",
            Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
        ),
        ("datetimeparse", "[\"2023 366\", \"%Y %j\"]", Ok("2024-01-01 00:00:00")),
        ("datetimeparse", "[\"12 AM\", \"%Y%m%d\"]", Ok("None")),
        ("datetimeparse", "[\"2024 366\", \"%c\"]", Ok("None")),
        ("datetimeparse", "[\"2023-08-18\", \"%Y  %m\"]", Ok("None")),
        (
            "tojson_pretty",
            "[[1, [2, [3]]]]",
            Ok("[\n    1,\n    [\n        2,\n        [\n            3\n        ]\n    ]\n]"),
        ),
        ("tojson_pretty", "[{}]", Ok("{}")),
        ("tojson_pretty", "[null]", Ok("null")),
        ("tojson_pretty", "[1]", Ok("1")),
        ("tojson_pretty", "[[]]", Ok("[]")),
        ("tojson_pretty", "[\"x\"]", Ok("\"x\"")),
        ("tojson_pretty", "[true]", Ok("true")),
        (
            "tojson_pretty",
            "[{\"b\": 1, \"a\": {\"z\": [], \"y\": {}}}]",
            Ok("{\n    \"a\": {\n        \"y\": {},\n        \"z\": []\n    },\n    \"b\": 1\n}"),
        ),
        ("json_dumps", "[\"x\"]", Ok("\"x\"")),
        ("json_dumps", "[1]", Ok("1")),
        ("json_dumps", "[null]", Ok("null")),
        ("json_dumps", "[[]]", Ok("[]")),
        ("json_dumps", "[[1, [2, [3]]]]", Ok("[1, [2, [3]]]")),
        ("json_dumps", "[true]", Ok("true")),
        ("json_dumps", "[{}]", Ok("{}")),
        ("json_dumps", "[{\"b\": 1, \"a\": {\"z\": [], \"y\": {}}}]", Ok("{\"b\": 1, \"a\": {\"z\": [], \"y\": {}}}")),
        ("b64decode", "[\"aG===\"]", Ok("h")),
        ("b64decode", "[\"aGk==\"]", Ok("hi")),
        ("b64decode", "[\"=\"]", Ok("")),
        ("b64decode", "[\"\"]", Ok("")),
        ("b64decode", "[\"aGVsbG8g5p2x5Lqs\"]", Ok("hello 東京")),
        ("b64decode", "[\"aGk=\"]", Ok("hi")),
        ("b64decode", "[\"a G k =\"]", Ok("hi")),
        ("b64decode", "[\"a=G=k=\"]", Ok("hi")),
        ("b64decode", "[null]", Ok("None")),
        ("b64decode", "[[]]", Ok("None")),
        ("b64decode", "[\"/w==\"]", Ok("None")),
        ("parse_json", "[\"NaN\"]", Ok("nan")),
        ("parse_json", "[\"1\"]", Ok("1")),
        ("parse_json", "[\"[1e400]\"]", Ok("[inf]")),
        ("parse_json", "[\"111111111111111111111111111111\"]", Ok("111111111111111111111111111111")),
        ("parse_json", "[\"{\\\"a\\\":[1,2.50,null,true]}\"]", Ok("{'a': [1, 2.5, None, True]}")),
        ("parse_json", "[5]", Ok("None")),
        ("parse_json", "[\"[1\"]", Ok("None")),
        ("parse_json", "[null]", Ok("None")),
        ("regex_match", "[\"foo bar\", \"(?Pz\"]", Err("unknown extension at position 3")),
        ("regex_match", "[\"a\\nb\\n\", \"a++a\"]", Ok("False")),
        ("regex_match", "[\"a\\nb\\n\", \"(?P<x>a\"]", Err("missing ) at position 7")),
        ("regex_match", "[\"a\\nb\\n\", \"a.c\"]", Ok("False")),
        ("regex_match", "[\"a\\nb\\n\", \"|\"]", Ok("True")),
        ("regex_match", "[\"\", \"b\\\\Z\"]", Ok("False")),
        ("regex_match", "[\"abab\", \"\\\\q\"]", Err("bad escape \\q at position 2")),
        ("regex_match", "[\"a\", 5]", Ok("None")),
        ("regex_match", "[5, \"a\"]", Ok("None")),
        ("regex_search", "[\"foo bar\", \"\\\\ \"]", Ok("True")),
        ("regex_search", "[\"2023-08 http://x.y/z:80\", \"a|b|\"]", Ok("True")),
        ("regex_search", "[\"foo bar\", \"{\"]", Ok("False")),
        ("regex_search", "[\"2023-08 http://x.y/z:80\", \"(?z)a\"]", Err("unknown extension at position 2")),
        ("regex_search", "[\"a\\nb\\n\", \"a{\"]", Ok("False")),
        ("regex_search", "[\"abab\", \"(?-i)a\"]", Ok("True")),
        ("regex_search", "[\"2023-08 http://x.y/z:80\", \"[a\"]", Err("unterminated character set at position 2")),
        ("regex_search", "[\"a\", 5]", Ok("None")),
        ("regex_search", "[5, \"a\"]", Ok("None")),
        ("regex_replace", "[\"a\\nb\\n\", \"https?://[^\\\\s]+\", \"<\\\\g<0>>\"]", Ok("a\nb\n")),
        ("regex_replace", "[\"2023-08 http://x.y/z:80\", \"(?Pz\", \"-\"]", Err("unknown extension at position 3")),
        ("regex_replace", "[\"\", \"(?<=a)b\", \"<\\\\g<0>>\"]", Ok("")),
        ("regex_replace", "[\"abcab\", \"(?P<x>a)\", \"\\\\2\"]", Err("invalid group reference")),
        ("regex_replace", "[\"foo bar\", \"[a&&b]\", \"-\"]", Ok("foo --r")),
        ("regex_replace", "[\"2023-08 http://x.y/z:80\", \"[a&&b]\", \"<\\\\g<0>>\"]", Ok("2023-08 http://x.y/z:80")),
        ("regex_replace", "[\"aab\", \"a{2}\", \"<\\\\g<0>>\"]", Ok("<aa>b")),
        ("regex_replace", "[\"\", \"x*\", \"-\"]", Ok("-")),
        ("regex_replace", "[\"a\", 5, \"b\"]", Ok("None")),
        ("regex_replace", "[5, \"a\", \"b\"]", Ok("None")),
    ];
    let filters = filters();
    for (name, arguments, expected) in cases {
        let (_, filter) = filters.iter().find(|(known, _)| *known == name).unwrap();
        let mut result = Ok(String::new());
        let call = |rendering: &Rendering| {
            let arguments = Value::from(&crate::json::loads(arguments).unwrap()).iterate(rendering).unwrap();
            result = filter(rendering, Arguments::positional(arguments))
                .and_then(|value| value.to_text(rendering))
                .map(|text| text.as_ref().to_owned())
                .map_err(|exception| exception.message);
        };
        Environment::new().compile("").unwrap().render_with(&[], call).unwrap();
        assert_eq!(result.as_deref().map_err(String::as_str), expected, "{name} {arguments}");
    }
}

/// A call that is `value | filter(arguments)` in a template, and why it fails.
#[test]
fn a_call_that_does_not_fit_a_filters_signature_fails_with_pythons_words() {
    let cases = [
        ("x | regex_replace", "regex_replace() missing 2 required positional arguments: 'find' and 'replace'"),
        ("x | regex_replace('a')", "regex_replace() missing 1 required positional argument: 'replace'"),
        ("x | regex_replace(replace='a')", "regex_replace() missing 1 required positional argument: 'find'"),
        ("x | regex_replace('a', 'b', 'c')", "regex_replace() takes 3 positional arguments but 4 were given"),
        ("x | regex_replace('a', find='b')", "regex_replace() got multiple values for argument 'find'"),
        ("x | regex_replace('a', 'b', count=1)", "regex_replace() got an unexpected keyword argument 'count'"),
        ("x | regex_match", "regex_match() missing 1 required positional argument: 'value'"),
        ("x | regex_match(pattern='a')", "regex_match() got multiple values for argument 'pattern'"),
        ("x | regex_search(pattern='a')", "regex_search() got multiple values for argument 'pattern'"),
        ("x | regex_search('a', 'b')", "regex_search() takes 2 positional arguments but 3 were given"),
        (
            "x | datetimeformat('%H:%M', 'Europe/Berlin')",
            "datetimeformat() takes from 1 to 2 positional arguments but 3 were given",
        ),
        ("x | datetimeformat(tz='UTC')", "datetimeformat() got an unexpected keyword argument 'tz'"),
        ("x | datetimeparse('a', 'b')", "datetimeparse() takes from 1 to 2 positional arguments but 3 were given"),
        (
            "x | datetimeformat_as_timezone('%H', 'UTC', 'UTC')",
            "datetimeformat_as_timezone() takes from 1 to 3 positional arguments but 4 were given",
        ),
        (
            "x | datetimeformat_as_timezone('%H', 'UTC', tz='UTC')",
            "datetimeformat_as_timezone() got multiple values for argument 'tz'",
        ),
        ("x | timestamp_to_datetime('%H')", "timestamp_to_datetime() takes 1 positional argument but 2 were given"),
        ("x | iso8601_to_time(format='%H')", "iso8601_to_time() got an unexpected keyword argument 'format'"),
        ("x | timedeltaparse('h')", "timedeltaparse() takes 1 positional argument but 2 were given"),
        ("x | tojson_pretty(2)", "to_pretty_json() takes 1 positional argument but 2 were given"),
        ("x | tojson_pretty(indent=2)", "to_pretty_json() got an unexpected keyword argument 'indent'"),
        ("x | json_dumps(indent=2)", "json_dumps() got an unexpected keyword argument 'indent'"),
        ("x | b64decode('utf-8')", "b64decode() takes 1 positional argument but 2 were given"),
        ("x | parse_json(value='1')", "parse_json() got multiple values for argument 'value'"),
        ("[x] | map('regex_replace', 'a') | list", "regex_replace() missing 1 required positional argument: 'replace'"),
        // `datetimeformat` catches nothing but a missing attribute.
        ("time() | datetimeformat(none)", "strftime() argument 1 must be str, not None"),
        ("time() | datetimeformat(format=1)", "strftime() argument 1 must be str, not int"),
        ("nope | datetimeformat", "'nope' is undefined"),
        ("time() | datetimeformat_as_timezone(tz='Nope/Zone')", "'Nope/Zone'"),
        ("time() | datetimeformat_as_timezone(tz=none)", "None"),
    ];
    for (call, expected) in cases {
        let source = format!("{{% set x = 'abc' %}}{{{{ {call} }}}}");
        let result = Template::compile(&source, Mode::Raw).and_then(|template| template.render(&[]));
        let failure = result.map_err(|error| error.to_string());
        assert_eq!(failure, Err(format!("Template Warning: {expected}")), "{call}");
    }
}

#[test]
fn values_that_a_filter_can_not_take_give_none() {
    let cases = [
        "5 | regex_replace('a', 'b')",
        "'a' | regex_replace(5, 'b')",
        "'a' | regex_match(none)",
        "'a' | datetimeformat(none)",
        "time() | datetimeformat_as_timezone(none)",
        "time() | datetimeformat_as_timezone(tz=1)",
        "1 | datetimeparse",
        "'1' | datetimeparse(none)",
        "[] | b64decode",
        "nope | parse_json",
        "time() | json_dumps",
    ];
    for call in cases {
        let result =
            Template::compile(&format!("{{{{ {call} }}}}"), Mode::Raw).and_then(|template| template.render(&[]));
        assert_eq!(result.as_deref(), Ok("None"), "{call}");
    }
}
