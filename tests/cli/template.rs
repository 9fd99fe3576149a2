//! `template`.

use crate::harness::{Folder, Ran};

#[test]
fn what_is_rendered_is_printed_as_it_is() {
    let folder = Folder::new(&[
        ("data.json", r#"{"alert_payload": {"text": "say \"hi\"", "n": 123456789012345678901234, "x": NaN}}"#),
        ("data.yaml", "alert_payload: {text: 'say \"hi\"', m: 0x10, on: yes}\n"),
    ]);
    let cases = [
        (&["{{ alert_payload.text }}", "--data=data.json"] as &[&str], "say \"hi\""),
        (&["--mode=json", r#"{"t": "{{ alert_payload.text }}"}"#, "--data=data.yaml"], r#"{"t": "say \"hi\""}"#),
        (&["{{ alert_payload.n + 1 }} {{ alert_payload.x }}", "--data=data.json"], "123456789012345678901235 nan"),
        (&["{{ alert_payload.m }} {{ alert_payload['true'] }}", "--data=data.yaml"], "16 True"),
        (&["{{ payload }}[{{ nothing }}]"], "None[]"),
        (&[""], ""),
    ];
    for (args, expected) in cases {
        let args = [&["template"], args].concat();
        assert_eq!(folder.pipe(&args, b""), Ran::new(0, expected, ""), "{args:?}");
    }
    assert_eq!(folder.pipe(&["template"], b"a\n{{ 1 + 1 }}\n\n"), Ran::new(0, "a\n2\n", ""));
    assert_eq!(folder.pipe(&["template", "{{ a }}", "--data=-"], b"a: b"), Ran::new(0, "b", ""));
}

#[test]
fn what_fails_is_said_in_one_line() {
    let folder = Folder::new(&[
        ("list.json", "[1]"),
        ("broken.json", "{\"a\":\n nope}"),
        ("broken.yaml", "a: 1\nb: [1, 2\nc: 3\n"),
        ("type.yaml", "event:\n  type: nope\n"),
        ("two.yaml", "a: 1\n---\nb: 1\n"),
    ]);
    folder.write("latin.yaml", b"a: 1\nb: caf\xe9\n");
    let cases = [
        ("template {{1+}}", 1, "Template Error: unexpected 'end of print statement' (line 1)\n"),
        ("template {{a.b.c}}", 1, "Template Warning: 'a' is undefined (line 1)\n"),
        (
            "template --data=list.json x",
            1,
            "list.json:1: must be an object, such as {\"alert_payload\": …}, not a list\n",
        ),
        ("template --data=broken.json x", 1, "broken.json:2: not JSON: expected ident at line 2 column 3\n"),
        ("template --data=broken.yaml x", 1, "broken.yaml:3: not YAML: illegal placement of ':' indicator\n"),
        ("template --data=latin.yaml x", 1, "latin.yaml:2: not UTF-8 text: save the file as UTF-8\n"),
        ("template --data=type.yaml x", 1, "type.yaml:2: event.type: \"nope\" is no type of event\n"),
        ("template --data=two.yaml x", 1, "two.yaml:1: holds several documents: give the data as one\n"),
        ("template --data=no x", 2, "oncall-webhooks: read no: No such file or directory (os error 2)\n"),
        ("template --data=-", 2, "oncall-webhooks: standard input (-) can be read only once\n"),
    ];
    for (args, status, stderr) in cases {
        assert_eq!(folder.run(args), Ran::new(status, "", stderr), "{args}");
    }
    assert_eq!(folder.pipe(&["template"], b"a\xff"), Ran::new(1, "", "the template is not UTF-8 at byte 1\n"));
    let long = "x".repeat(1_000_000);
    let ran = folder.pipe(&["template"], long.as_bytes());
    assert_eq!(ran, Ran::new(1, "", "Template Error: Template exceeds length limit (1000000 > 50000)\n"));
    assert_eq!(folder.run("template --mode=xml x").status, 2);
}
