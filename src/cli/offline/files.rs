//! Paths as `kubectl -f` takes them in; the names and bytes of the files out.

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
    /// The path, as findings show it.
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

/// Whether a path stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads the files that `paths` name, in that order, and those in a folder in the order of their names. A file that is named
/// twice is read once.
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
    // A path that does not exist stays: reading it gives the error.
    found.retain(|path| is_stdin(path) || fs::canonicalize(path).map_or(true, |path| known.insert(path)));
    found.iter().map(|path| read(path)).collect()
}

/// Adds the manifests in `folder` to `found`.
fn list(folder: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<()> {
    let reading = || format!("read {}", folder.display());
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(folder).with_context(reading)?.collect::<Result<_, _>>().with_context(reading)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_manifest =
            path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
        // Links to files are followed. Links to folders are not: they could lead back.
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
