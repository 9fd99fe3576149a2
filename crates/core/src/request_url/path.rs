//! Paths of URLs, resolved as urllib3 and Python's `urljoin` resolve them.

/// Resolves `.` and `..` in a path, as RFC 3986 (5.2.4) says and urllib3 does.
pub(super) fn without_dots(path: &str) -> String {
    let mut out = resolve(path.split('/'));
    if path.starts_with('/') && out.first().is_none_or(|first| !first.is_empty()) {
        out.insert(0, "");
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        out.push("");
    }
    out.join("/")
}

/// Resolves `path` against the path `base`, as Python's `urljoin` does. Where `path` is relative, empty segments are left out.
pub(super) fn join(base: &str, path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    if !path.starts_with('/') {
        let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
        let last = segments.pop();
        segments = folder.split('/').chain(segments).filter(|segment| !segment.is_empty()).collect();
        segments.insert(0, "");
        segments.extend(last);
    }
    let mut out = resolve(segments.iter().copied());
    if matches!(segments.last(), Some(&"." | &"..")) {
        out.push("");
    }
    out.join("/")
}

/// Leaves out each `.`, and each `..` with the segment before it.
fn resolve<'a>(segments: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out = Vec::new();
    for segment in segments {
        match segment {
            "." => {}
            ".." => {
                out.pop();
            }
            segment => out.push(segment),
        }
    }
    out
}
