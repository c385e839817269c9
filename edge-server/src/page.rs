//! The page: embedded in the program, or read from a folder during development.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::asset::Asset;

#[derive(RustEmbed)]
#[folder = "../web"]
#[exclude = "node_modules/*"]
#[exclude = "tests/*"]
#[exclude = "test-results/*"]
#[exclude = "bench/*"]
#[exclude = "package.json"]
#[exclude = "package-lock.json"]
#[exclude = "tsconfig*.json"]
#[exclude = "*.d.ts"]
#[exclude = "*.md"]
#[exclude = ".*"]
struct Embedded;

/// Where the page's files come from.
#[derive(Debug, Clone)]
pub enum Page {
    /// The program itself.
    Embedded,
    /// A folder, read at every request.
    Folder(PathBuf),
}

impl Page {
    /// Serves from the folder where one is given, which must hold an `index.html`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be resolved or has no page.
    pub fn new(folder: Option<&Path>) -> std::io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self::Embedded);
        };
        // Resolved once, so that links out of the folder can be told from files in it.
        let folder = folder.canonicalize()?;
        if folder.join("index.html").is_file() {
            Ok(Self::Folder(folder))
        } else {
            Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("{} has no index.html", folder.display()),
            ))
        }
    }

    /// The file at a path such as `pkg/simd/device.js`; the empty path is the page itself.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<Asset> {
        let path = if path.is_empty() { "index.html" } else { path };
        if !is_plain(path) {
            return None;
        }
        match self {
            Self::Embedded => embedded(path),
            Self::Folder(folder) => on_disk(folder, path),
        }
    }
}

/// Whether a path only goes down, and to nothing hidden.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|segment| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && !segment.contains(['\\', ':'])
            && !segment.chars().any(char::is_control)
    })
}

fn embedded(path: &str) -> Option<Asset> {
    let file = Embedded::get(path)?;
    let brotli = Embedded::get(&format!("{path}.br")).map(into_bytes);
    let sha256 = hex(&file.metadata.sha256_hash());
    Some(Asset::with_digest(path, into_bytes(file), sha256, brotli))
}

fn into_bytes(file: EmbeddedFile) -> Bytes {
    match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

fn on_disk(folder: &Path, path: &str) -> Option<Asset> {
    const NOT_SERVED: [&str; 3] = ["node_modules", "tests", "bench"];
    let first = path.split('/').next().unwrap_or_default();
    if NOT_SERVED.contains(&first) {
        return None;
    }
    let read = |path: &str| {
        let file = folder.join(path).canonicalize().ok()?;
        let inside = file.starts_with(folder) && file.is_file();
        inside
            .then(|| std::fs::read(file).ok())
            .flatten()
            .map(Bytes::from)
    };
    let bytes = read(path)?;
    Some(Asset::new(path, bytes, read(&format!("{path}.br"))))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_looked_up() {
        for good in ["index.html", "pkg/simd/device.js", "samples/a b.jpg"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "/etc/passwd",
            ".git",
            "a/.b",
            "a\\b",
            "c:x",
            "a\0",
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_folder_serves_its_own_files_only() {
        let root = tempfile::tempdir().unwrap();
        let web = root.path().join("web");
        std::fs::create_dir_all(web.join("tests")).unwrap();
        std::fs::write(root.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(web.join("index.html"), "page").unwrap();
        std::fs::write(web.join("tests/a.js"), "test").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.path().join("secret.txt"), web.join("link.txt")).unwrap();

        let page = Page::new(Some(&web)).unwrap();
        assert_eq!(page.file("").unwrap().bytes, "page");
        for outside in [
            "../secret.txt",
            "link.txt",
            "tests/a.js",
            "missing.js",
            "tests",
        ] {
            assert!(page.file(outside).is_none(), "{outside} was served");
        }
        // An edit is there at the next request.
        std::fs::write(web.join("index.html"), "edited").unwrap();
        assert_eq!(page.file("index.html").unwrap().bytes, "edited");
    }

    #[test]
    fn a_folder_without_a_page_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        assert!(Page::new(Some(empty.path())).is_err());
        assert!(Page::new(Some(&empty.path().join("missing"))).is_err());
    }

    #[test]
    fn what_is_for_development_is_not_embedded() {
        let strays: Vec<_> = Embedded::iter()
            .filter(|path| {
                path.starts_with("node_modules")
                    || path.starts_with("tests")
                    || path.contains("package")
            })
            .collect();
        assert!(strays.is_empty(), "{strays:?}");
    }
}
