//! Paths in, bytes by their names out; as `kubectl -f` takes them.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};

/// A file that was read.
pub(super) struct File {
    /// As findings call it.
    pub(super) name: Arc<str>,
    pub(super) bytes: Vec<u8>,
}

/// Reads one file, or standard input for `-`.
pub(super) fn read(path: &Path) -> Result<File> {
    let bytes = if is_stdin(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).context("read standard input")?;
        bytes
    } else {
        fs::read(path).with_context(|| format!("read {}", path.display()))?
    };
    Ok(File { name: Arc::from(path.display().to_string()), bytes })
}

pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads all that `paths` name, each file once, in their order, folders in that of their names.
pub(super) fn read_all(paths: &[PathBuf], recursive: bool) -> Result<Vec<File>> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        bail!("standard input (-) can be read only once");
    }
    let mut found = Vec::new();
    for path in paths {
        if is_stdin(path) || !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let before = found.len();
        list(path, recursive, &mut found)?;
        if found.len() == before {
            let deeper = if recursive { "" } else { "; -R reads the folders inside it" };
            bail!("{} has no *.yaml, *.yml or *.json{deeper}", path.display());
        }
    }
    let mut known = HashSet::new();
    // What does not exist is told of when it is read.
    found.retain(|path| is_stdin(path) || fs::canonicalize(path).map_or(true, |path| known.insert(path)));
    found.iter().map(|path| read(path)).collect()
}

fn list(folder: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<()> {
    let reading = || format!("read {}", folder.display());
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(folder).with_context(reading)?.collect::<Result<_, _>>().with_context(reading)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_manifest =
            path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
        // Of a link, what it leads to; but no folders, which could lead back.
        if entry.file_type().with_context(reading)?.is_dir() {
            if recursive {
                list(&path, recursive, found)?;
            }
        } else if is_manifest && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}
