//! The documents, held against the tree that they describe.

use std::{collections::BTreeSet, fs, path::Path};

const DOCUMENTS: [&str; 12] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "crates/pyjinja/README.md",
    "docs/admission.md",
    "docs/cli.md",
    "docs/compatibility.md",
    "docs/guarantees.md",
    "docs/install.md",
    "docs/performance.md",
    "docs/security.md",
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

#[test]
fn links_between_documents_and_files_lead_somewhere() {
    let mut broken = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("read {document}: {error}"));
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let folder = Path::new(document).parent().unwrap_or(Path::new(""));
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
