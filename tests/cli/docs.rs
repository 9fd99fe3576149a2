//! The documents, held against the tree that they describe.

use std::{collections::BTreeSet, fs, path::Path};

use support::output;

use crate::harness::program;

/// Those that are not in `docs`.
const DOCUMENTS: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "charts/oncall-webhooks/README.md",
    "crates/pyjinja/README.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads the Rust files below a folder.
fn read_sources(folder: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("read a folder") {
        let path = entry.expect("read a folder").path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(fs::read_to_string(&path).expect("read a source"));
        }
    }
}

/// The documents below a folder.
fn documents_in(folder: &str) -> Vec<String> {
    let names = fs::read_dir(root().join(folder))
        .expect("read a folder")
        .map(|entry| entry.expect("read a folder").file_name());
    let names = names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".md"));
    names.map(|name| format!("{folder}/{name}")).collect()
}

#[test]
fn links_between_documents_and_files_lead_somewhere() {
    let mut broken = Vec::new();
    let documents = ["docs", "docs/runbooks"].into_iter().flat_map(documents_in).chain(DOCUMENTS.map(str::to_owned));
    for document in documents {
        let text =
            fs::read_to_string(root().join(&document)).unwrap_or_else(|error| panic!("read {document}: {error}"));
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let folder = Path::new(&document).parent().unwrap_or(Path::new(""));
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let path = target.split('#').next().unwrap_or(target);
            if !root().join(folder).join(path).exists() {
                broken.push(format!("{document}: {target}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_tests_that_guarantees_and_walls_name_exist() {
    let documents = ["docs/admission.md", "docs/guarantees.md", "docs/security.md"];
    let text = documents.map(|document| fs::read_to_string(root().join(document)).expect("read a document")).join("\n");
    // Blocks of code have three of them at each end.
    let quoted = text.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|text| text.rsplit_once("::")).map(|(_, name)| name);
    // Names of modules are shorter.
    let named: BTreeSet<&str> = named.filter(|name| name.matches('_').count() > 3).collect();
    assert!(named.len() > 20, "{named:?}");
    let mut sources = Vec::new();
    ["src", "crates", "tests"].into_iter().for_each(|folder| read_sources(&root().join(folder), &mut sources));
    let functions: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.split("fn ").skip(1))
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .collect();
    let missing: Vec<&&str> = named.difference(&functions).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

/// Has the program print help.
fn help(command: &str) -> String {
    output(program().args(command.split_whitespace()).arg("-h")).expect("print the help")
}

/// The first long flag in a text.
fn long_flag(text: &str) -> Option<String> {
    let words = text.split([' ', ',', '=', '[']);
    words.map(str::to_owned).find(|word| word.starts_with("--"))
}

#[test]
fn the_table_of_flags_has_those_of_every_command() {
    let text = fs::read_to_string(root().join("docs/cli.md")).expect("read a document");
    let section = text.split("\n## All commands\n").nth(1).expect("it has the section");
    let mut written = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let columns: Vec<&str> = row.split('|').collect();
        let (commands, flags) = (columns[1], columns[3]);
        let mut told: BTreeSet<String> = flags.split('`').skip(1).step_by(2).filter_map(long_flag).collect();
        if flags.contains("the cluster's") {
            told.extend(["--namespace", "--context", "--kubeconfig"].map(str::to_owned));
        }
        for command in commands.split('`').skip(1).step_by(2) {
            // Without what stands for a value.
            let is_word = |word: &&str| word.chars().all(char::is_lowercase);
            let words: Vec<&str> = command.split(' ').take_while(is_word).collect();
            let help = help(&words.join(" "));
            let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
            let all: BTreeSet<String> = lines.filter_map(long_flag).filter(|flag| flag != "--help").collect();
            assert_eq!(told, all, "{command}");
            written.insert(words[0].to_owned());
        }
    }
    let help = help("");
    let commands = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    // Further lines of a description are indented more.
    let lines = commands.expect("it has commands").lines().filter_map(|line| line.strip_prefix("  "));
    let commands = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    let mut all: BTreeSet<String> = commands.map(str::to_owned).collect();
    // Two run in a cluster, where the chart sets their flags.
    all.retain(|command| !["help", "controller", "api"].contains(&command.as_str()));
    assert_eq!(written, all);
}
