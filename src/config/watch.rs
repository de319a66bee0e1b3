//! Whether what the configuration was read from has changed: a look at the files, now and then.
//!
//! Owns what was seen. Blocking: runs where waiting is allowed. Watching files is limited per node
//! and blind on some mounts, looking is neither; a swap of a link anywhere in a path shows, since
//! links are followed. Invariant: what is loaded is never older than what counts as seen.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::problem::Report;
use super::source::{MAX_FILE, files_in};
use super::{Env, Loaded, Options, Problems, load};
use crate::base::{Timestamp, Zeroizing};

/// A file changed less than this before it was looked at may change again within the same tick of
/// its time stamp, so its stamp proves nothing yet.
const SETTLED_SECONDS: i64 = 3;

/// A configuration that is loaded again and again.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    env: Env,
    options: Options,
    /// The operator's provider files are looked at, too.
    providers: Option<PathBuf>,
    seen: Option<Print>,
    /// What was found in its place when it was last looked at.
    changed_to: Option<[u8; 32]>,
}

/// What a look at the files says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    None,
    /// Not what the look before found: it may still be being written.
    Fresh,
    /// The same as at the look before.
    Settled,
}

/// All files at one moment.
#[derive(Debug)]
struct Print {
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    /// No stamp was too young to be believed.
    settled: bool,
    content: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    regular: bool,
}

impl Watch {
    /// `env` are the overrides of the start: a process's environment does not change.
    pub fn new(path: PathBuf, env: Env, options: Options) -> Self {
        Self {
            path,
            env,
            options,
            providers: None,
            seen: None,
            changed_to: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Loads what is there; it counts as seen, whether it can be used or not.
    pub fn load(&mut self, now: Timestamp) -> Result<Loaded, Problems> {
        let (mut print, mut loaded) = self.take(now);
        // Where the provider files are is only known now: looked at before they are read.
        let named = match &loaded {
            Ok(loaded) => loaded.providers_path.clone(),
            Err(problems) => problems.providers_path().cloned(),
        };
        if named != self.providers && (named.is_some() || loaded.is_ok()) {
            self.providers = named;
            (print, loaded) = self.take(now);
        }
        self.seen = Some(print);
        self.changed_to = None;
        loaded
    }

    fn take(&self, now: Timestamp) -> (Print, Result<Loaded, Problems>) {
        let print = self.print(now);
        (print, load(&self.path, &self.env, self.options))
    }

    /// Whether something has changed since it was loaded, and since the look before. Whoever loads
    /// what is not settled may load half a file.
    pub fn look(&mut self, now: Timestamp) -> Change {
        let stamps = self.stamps();
        let Some(seen) = &mut self.seen else {
            return Change::Settled;
        };
        let before = self.changed_to.take();
        if seen.settled && seen.stamps == stamps {
            return Change::None;
        }
        let print = Print::of(stamps, now);
        if print.content == seen.content {
            *seen = print;
            return Change::None;
        }
        self.changed_to = Some(print.content);
        if before == self.changed_to {
            Change::Settled
        } else {
            Change::Fresh
        }
    }

    fn print(&self, now: Timestamp) -> Print {
        Print::of(self.stamps(), now)
    }

    fn stamps(&self) -> Vec<(PathBuf, Option<Stamp>)> {
        let mut files = listed(&self.path);
        if let Some(folder) = &self.providers {
            files.extend(listed(folder));
        }
        let stamped = files.into_iter().map(|file| {
            let stamp = fs::metadata(&file).ok().as_ref().map(Stamp::of);
            (file, stamp)
        });
        stamped.collect()
    }
}

/// The file itself, or the files of a folder that count.
fn listed(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    // What cannot be listed is a problem of the next load.
    let files = files_in(path, &mut Report::default());
    files.into_iter().map(|(file, _)| file).collect()
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            regular: metadata.is_file(),
        }
    }
}

impl Print {
    fn of(stamps: Vec<(PathBuf, Option<Stamp>)>, now: Timestamp) -> Self {
        let mut hash = Sha256::new();
        for (file, stamp) in &stamps {
            let name = file.as_os_str().as_encoded_bytes();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            // Opening a pipe would take what it holds from whoever reads it next.
            let content = stamp
                .filter(|stamp| stamp.regular)
                .and_then(|_| hash_of(file));
            hash.update([u8::from(content.is_some())]);
            hash.update(content.unwrap_or_default());
        }
        let settled = |stamp: &Stamp| now.unix_seconds() - stamp.changed.0 > SETTLED_SECONDS;
        Self {
            settled: stamps
                .iter()
                .all(|(_, stamp)| stamp.as_ref().is_none_or(settled)),
            content: hash.finalize().into(),
            stamps,
        }
    }
}

fn hash_of(file: &Path) -> Option<[u8; 32]> {
    // More than this is refused when it is loaded.
    let mut rest = File::open(file).ok()?.take(MAX_FILE + 1);
    let mut hash = Sha256::new();
    // It may hold secrets.
    let mut buffer = Zeroizing::new([0; 8192]);
    loop {
        match rest.read(&mut buffer[..]).ok()? {
            0 => return Some(hash.finalize().into()),
            count => hash.update(buffer.get(..count)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const ONE: &str = "integrations.a = { grant = \"static\", token = { file = \"/t\" } }\n";
    const TWO: &str = "integrations.b = { grant = \"static\", token = { file = \"/t\" } }\n";

    fn watch(path: &Path) -> Watch {
        Watch::new(path.to_owned(), Env::default(), Options::default())
    }

    /// Long after every file was written, and in the same moment.
    fn moments() -> [Timestamp; 2] {
        [4_000_000_000, 0].map(Timestamp::from_unix_seconds)
    }

    fn names(loaded: &Loaded) -> Vec<&str> {
        let all = loaded.spec.integrations.iter();
        all.map(|one| one.id.as_str()).collect()
    }

    fn has_changed(watch: &mut Watch, now: Timestamp) -> bool {
        watch.look(now) != Change::None
    }

    #[test]
    fn what_is_still_being_written_is_not_settled() {
        for now in moments() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("broker.toml");
            fs::write(&path, ONE).unwrap();
            let mut watch = watch(&path);
            watch.load(now).unwrap();
            for text in ["", "integrations.b", TWO] {
                fs::write(&path, text).unwrap();
                assert_eq!(watch.look(now), Change::Fresh);
            }
            assert_eq!(watch.look(now), Change::Settled);
            assert_eq!(watch.look(now), Change::Settled);
            fs::write(&path, ONE).unwrap();
            assert_eq!(watch.look(now), Change::None, "back to what is in use");
            fs::write(&path, TWO).unwrap();
            assert_eq!(watch.look(now), Change::Fresh, "begins anew");
            watch.load(now).unwrap();
            assert_eq!(watch.look(now), Change::None);
        }
    }

    #[test]
    fn content_counts_and_a_touch_does_not() {
        for now in moments() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("broker.toml");
            fs::write(&path, ONE).unwrap();
            let mut watch = watch(&path);
            assert!(has_changed(&mut watch, now), "nothing was loaded yet");
            watch.load(now).unwrap();
            assert!(!has_changed(&mut watch, now));
            fs::write(&path, ONE).unwrap();
            assert!(!has_changed(&mut watch, now));
            fs::write(&path, TWO).unwrap();
            assert!(has_changed(&mut watch, now) && has_changed(&mut watch, now));
            assert_eq!(names(&watch.load(now).unwrap()), ["b"]);
            fs::write(&path, "nonsense").unwrap();
            assert!(has_changed(&mut watch, now));
            watch.load(now).unwrap_err();
            assert!(!has_changed(&mut watch, now), "told once");
            fs::remove_file(&path).unwrap();
            assert!(has_changed(&mut watch, now));
            watch.load(now).unwrap_err();
            assert!(!has_changed(&mut watch, now));
        }
    }

    #[test]
    fn a_swapped_link_and_another_file_count() {
        let [now, _] = moments();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..v1", ONE), ("..v2", TWO)] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("broker.toml"), text).unwrap();
        }
        symlink("..v1", at("..data")).unwrap();
        symlink("..data/broker.toml", at("broker.toml")).unwrap();
        let mut watch = watch(folder.path());
        assert_eq!(names(&watch.load(now).unwrap()), ["a"]);
        assert!(!has_changed(&mut watch, now));
        symlink("..v2", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
        assert!(has_changed(&mut watch, now));
        assert_eq!(names(&watch.load(now).unwrap()), ["b"]);
        fs::write(at("more.toml"), ONE).unwrap();
        assert!(has_changed(&mut watch, now));
        assert_eq!(names(&watch.load(now).unwrap()), ["a", "b"]);
        fs::write(at("notes.txt"), "nothing").unwrap();
        assert!(!has_changed(&mut watch, now));
    }

    #[test]
    fn provider_files_count_even_while_they_are_wrong() {
        let [now, _] = moments();
        let folder = tempfile::tempdir().unwrap();
        let providers = folder.path().join("providers");
        let path = folder.path().join("broker.toml");
        let text = format!("{ONE}[providers]\npath = \"{}\"\n", providers.display());
        fs::write(&path, text).unwrap();
        let mut watch = watch(&path);
        watch.load(now).unwrap_err();
        assert!(!has_changed(&mut watch, now));
        fs::create_dir(&providers).unwrap();
        assert!(has_changed(&mut watch, now), "the folder is there now");
        watch.load(now).unwrap();
        fs::write(providers.join("acme.toml"), "nonsense").unwrap();
        assert!(has_changed(&mut watch, now));
        watch.load(now).unwrap_err();
        fs::write(providers.join("acme.toml"), "nonsense again").unwrap();
        assert!(has_changed(&mut watch, now));
    }
}
