//! The file: what it survives, what it refuses, and that it refuses without touching anything.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use proptest::prelude::*;
use redb::{ReadableDatabase as _, ReadableTable as _};

use super::database::{ABOUT, Step};
use super::*;
use crate::base::{SystemClock, Timestamp, TokioClock};
use crate::store::record::tests::full;
use crate::store::suite;

struct Place {
    folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    Place { folder, path }
}

impl Place {
    fn open(&self, key: Option<&SealingKey>) -> Result<Embedded, OpenProblem> {
        let opened = Embedded::open(&self.path, key, Missing::Make, Arc::new(SystemClock));
        opened.map_err(|error| {
            assert_eq!(error.path, self.path);
            error.problem
        })
    }

    /// With the faults of its disk.
    fn open_faulty(&self) -> (Embedded, Arc<faults::Faults>) {
        let locked = locked(&self.path, None, Missing::Make).unwrap();
        let faults = Arc::clone(&locked.faults);
        let store = Embedded::over(&locked, None, Arc::new(SystemClock)).unwrap();
        (store, faults)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Opening fails, and neither the file nor the directory is any different afterwards.
    fn refused(&self, key: Option<&SealingKey>) -> OpenProblem {
        let names = || {
            let entries = fs::read_dir(self.folder.path()).unwrap();
            let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names
        };
        let (before, there) = (self.bytes(), names());
        let problem = self.open(key).unwrap_err();
        assert!(self.bytes() == before, "{problem}");
        assert_eq!(names(), there);
        problem
    }
}

fn key(byte: u8) -> SealingKey {
    SealingKey::parse(&[byte; 32]).unwrap()
}

fn id(name: &str) -> Key {
    Key::Integration(name.parse().unwrap())
}

async fn filled(place: &Place, sealed_with: Option<&SealingKey>, count: usize) {
    let store = place.open(sealed_with).unwrap();
    let keys: Vec<_> = (0..count).map(|n| id(&format!("i{n}"))).collect();
    let saves = keys
        .iter()
        .map(|key| store.save(key, full().encode(), Version(0)));
    for saved in join_all(saves).await {
        saved.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn conforms_plain_and_sealed() {
    for key in [None, Some(key(1))] {
        let place = place();
        let clock = TokioClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let store = Embedded::open(&place.path, key.as_ref(), Missing::Make, Arc::new(clock));
        suite::run(&store.unwrap()).await;
        suite::outlives(|| Box::new(place.open(key.as_ref()).unwrap())).await;
    }
}

#[tokio::test]
async fn the_file_is_private_and_a_directory_that_exists_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("made/for/it/state.redb");
    let place = Place { folder, path };
    drop(place.open(None).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&place.path), 0o600);
    assert_eq!(mode(place.path.parent().unwrap()), 0o700);
    assert_eq!(mode(&place.folder.path().join("made")), 0o700);
    assert_eq!(mode(place.folder.path()), 0o755);
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(place.open(None).unwrap());
    assert_eq!(mode(&place.path), 0o600);
    let left = fs::read_dir(place.path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "nothing but the store is left there");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let place = place();
    let store = place.open(None).unwrap();
    assert_eq!(place.open(None).unwrap_err(), OpenProblem::Held);
    let problem = rekey(&place.path, None, None).unwrap_err();
    assert!(problem.is_held() && problem.to_string().contains("state.redb"));
    let kept = store.save(&id("a"), Secret::new("1"), Version(0)).await;
    drop(store);
    let store = place.open(None).unwrap();
    assert_eq!(
        store.load(&id("a")).await.unwrap().unwrap().version,
        kept.unwrap()
    );
}

/// A waiting broker has opened the file, and then its name passes to another one.
#[tokio::test]
async fn a_lock_on_a_file_that_was_replaced_is_no_lock() {
    let place = place();
    filled(&place, None, 1).await;
    let old = file::existing(&place.path).unwrap();
    assert!(old.is_at_its_path().unwrap());
    fs::copy(&place.path, place.folder.path().join("other")).unwrap();
    fs::rename(place.folder.path().join("other"), &place.path).unwrap();
    assert!(!old.is_at_its_path().unwrap());
    assert!(place.open(None).is_ok());
}

#[tokio::test]
async fn only_the_right_key_opens_and_every_other_is_told_exactly() {
    let place = place();
    filled(&place, Some(&key(1)), 3).await;
    assert_eq!(place.refused(Some(&key(2))), OpenProblem::WrongKey);
    assert_eq!(place.refused(None), OpenProblem::KeyMissing);
    let bytes = place.bytes();
    assert!(!bytes.windows(6).any(|part| part == b"canary"), "sealed");
    assert!(place.open(Some(&key(1))).is_ok());

    let plain = self::place();
    filled(&plain, None, 3).await;
    assert_eq!(plain.refused(Some(&key(1))), OpenProblem::KeyUnneeded);
    assert!(plain.bytes().windows(6).any(|part| part == b"canary"));
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let place = place();
    for foreign in ["x", "not a store at all", &"SQLite format 3".repeat(1000)] {
        fs::write(&place.path, foreign).unwrap();
        assert_eq!(place.refused(None), OpenProblem::Foreign, "{foreign}");
    }
    fs::write(&place.path, "").unwrap();
    assert!(matches!(place.refused(None), OpenProblem::Damaged(_)));
    fs::remove_file(&place.path).unwrap();
    // A database of another program.
    let database = redb::Database::create(&place.path).unwrap();
    let txn = database.begin_write().unwrap();
    let table: redb::TableDefinition<'_, u64, &str> = redb::TableDefinition::new("about");
    txn.open_table(table).unwrap().insert(1, "magic").unwrap();
    txn.commit().unwrap();
    drop(database);
    assert_eq!(place.refused(None), OpenProblem::Foreign);
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let place = place();
    let refused = |path: &Path| {
        let opened = Embedded::open(path, None, Missing::Make, Arc::new(SystemClock));
        opened.unwrap_err().problem
    };
    fs::create_dir(&place.path).unwrap();
    let directory = OpenProblem::NotAFile("a directory");
    assert_eq!(refused(&place.path), directory);
    assert_eq!(refused(Path::new("/")), directory);
    let link = place.folder.path().join("link");
    symlink("/etc/passwd", &link).unwrap();
    assert_eq!(refused(&link), OpenProblem::NotAFile("a symbolic link"));
    fs::remove_file(&link).unwrap();
    symlink(place.folder.path().join("nowhere"), &link).unwrap();
    assert_eq!(refused(&link), OpenProblem::NotAFile("a symbolic link"));
    let under_a_file = place.folder.path().join("file/state.redb");
    fs::write(place.folder.path().join("file"), "x").unwrap();
    let problem = refused(&under_a_file);
    assert!(matches!(problem, OpenProblem::Io { .. }), "{problem}");
    let nowhere = refused(Path::new("/proc/1/nowhere/state.redb"));
    assert!(matches!(nowhere, OpenProblem::Io { .. }), "{nowhere}");
    let missing = Embedded::open(&under_a_file, None, Missing::Refuse, Arc::new(SystemClock));
    assert!(missing.is_err());
}

#[tokio::test]
async fn a_file_cut_anywhere_is_refused_and_left_alone() {
    let place = place();
    filled(&place, None, 30).await;
    let whole = place.bytes();
    for cut in [
        1,
        100,
        511,
        4096,
        5000,
        whole.len() / 2,
        whole.len() - 4096,
        whole.len() - 1,
    ] {
        fs::write(&place.path, &whole[..cut]).unwrap();
        let problem = place.refused(None);
        let damaged = matches!(problem, OpenProblem::Damaged(_));
        assert!(
            damaged || cut < 9 && problem == OpenProblem::Foreign,
            "{cut}: {problem}"
        );
    }
    fs::write(&place.path, &whole).unwrap();
    assert_eq!(place.open(None).unwrap().list().await.unwrap().len(), 30);
}

/// A broker that died over its store leaves it for the next to repair: that is no damage, but with
/// the wrong key not even that repair happens.
#[tokio::test]
async fn an_unclean_end_is_no_damage() {
    let place = place();
    let store = place.open(Some(&key(1))).unwrap();
    let version = store
        .save(&id("a"), Secret::new("kept"), Version(0))
        .await
        .unwrap();
    let bytes = place.bytes();
    drop(store);
    assert!(place.bytes() != bytes, "closing writes");
    fs::write(&place.path, bytes).unwrap();
    assert_eq!(place.refused(Some(&key(2))), OpenProblem::WrongKey);
    let store = place.open(Some(&key(1))).unwrap();
    let entry = store.load(&id("a")).await.unwrap().unwrap();
    assert_eq!(
        entry,
        Entry {
            version,
            value: Secret::new("kept")
        }
    );
}

#[tokio::test]
async fn a_full_disk_costs_nothing_but_the_saves_of_that_time() {
    let place = place();
    let (store, faults) = place.open_faulty();
    let a = id("a");
    let first = store.save(&a, Secret::new("1"), Version(0)).await.unwrap();
    faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let failed = store.save(&a, Secret::new("2".repeat(9000)), first).await;
        let StoreError::Unavailable(why) = failed.unwrap_err() else {
            panic!("another error");
        };
        assert!(
            why.contains("state.redb") && why.contains("storage space"),
            "{why}"
        );
    }
    faults.full.store(false, Ordering::SeqCst);
    let entry = store.load(&a).await.unwrap().unwrap();
    assert_eq!((entry.version, entry.value), (first, Secret::new("1")));
    let second = store.save(&a, Secret::new("2"), first).await.unwrap();
    drop(store);
    let store = place.open(None).unwrap();
    assert_eq!(store.load(&a).await.unwrap().unwrap().version, second);
}

#[tokio::test]
async fn a_sync_that_fails_leaves_the_old_value_or_the_new_and_the_next_save_works() {
    let place = place();
    let (store, faults) = place.open_faulty();
    let a = id("a");
    let mut version = store.save(&a, Secret::new("0"), Version(0)).await.unwrap();
    for (count, happens) in [(1, false), (1, true), (2, true), (3, false), (3, true)] {
        let counter = if happens {
            &faults.denied_syncs
        } else {
            &faults.failing_syncs
        };
        counter.store(count, Ordering::SeqCst);
        let mut tries = 0;
        let next = loop {
            tries += 1;
            let value = Secret::new(format!("{count} {happens}"));
            match store.save(&a, value, version).await {
                Ok(next) => break next,
                Err(StoreError::Unavailable(_)) => {}
                Err(other) => panic!("{other}: a writer must not lose against itself"),
            }
            assert!(tries < 10);
        };
        assert!(tries > 1 && next > version);
        version = next;
    }
    let stale = store.save(&a, Secret::new("stale"), Version(0)).await;
    assert_eq!(stale, Err(StoreError::Conflict { found: version }));
    drop(store);
    let entry = place.open(None).unwrap().load(&a).await.unwrap().unwrap();
    assert_eq!(
        (entry.version, entry.value),
        (version, Secret::new("3 true"))
    );
}

/// Whoever reads after such an end sees what is really there, and goes on from it.
#[tokio::test]
async fn after_an_unknown_end_a_load_tells_what_is_there() {
    let place = place();
    let (store, faults) = place.open_faulty();
    let a = id("a");
    let first = store.save(&a, Secret::new("1"), Version(0)).await.unwrap();
    faults.denied_syncs.store(1, Ordering::SeqCst);
    assert!(store.save(&a, Secret::new("2"), first).await.is_err());
    let entry = store.load(&a).await.unwrap().unwrap();
    assert_eq!(entry.value, Secret::new("2"));
    assert!(
        store
            .save(&a, Secret::new("3"), entry.version)
            .await
            .is_ok()
    );
    let late = store.save(&a, Secret::new("4"), first).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })));
}

#[tokio::test]
async fn thousands_of_saves_are_a_few_syncs() {
    let place = place();
    let (store, faults) = place.open_faulty();
    let keys: Vec<_> = (0..5000).map(|n| id(&format!("i{n}"))).collect();
    let before = faults.syncs.load(Ordering::SeqCst);
    let saves = keys
        .iter()
        .map(|key| store.save(key, full().encode(), Version(0)));
    assert!(join_all(saves).await.iter().all(Result::is_ok));
    let syncs = faults.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 60, "{syncs} syncs");
}

#[tokio::test]
async fn a_file_that_was_taken_away_takes_no_saves() {
    let place = place();
    let store = place.open(None).unwrap();
    fs::remove_file(&place.path).unwrap();
    let failed = store.save(&id("a"), Secret::new("1"), Version(0)).await;
    assert!(failed.unwrap_err().to_string().contains("removed"));
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_to_be_moved_back_not_made_anew() {
    let place = place();
    let elsewhere = place.folder.path().join("elsewhere");
    let store = place.open(None).unwrap();
    fs::rename(&place.path, &elsewhere).unwrap();
    let failed = store.save(&id("a"), Secret::new("1"), Version(0)).await;
    let said = failed.unwrap_err().to_string();
    // To restart is what loses the tokens.
    assert!(
        said.contains("move that same file back to this path"),
        "{said}"
    );
    assert!(said.contains("a restart now loses"), "{said}");
    fs::rename(&elsewhere, &place.path).unwrap();
    let saved = store.save(&id("a"), Secret::new("1"), Version(0)).await;
    assert!(saved.is_ok(), "{saved:?}");
}

#[tokio::test]
async fn another_key_for_all_entries() {
    let place = place();
    filled(&place, None, 20).await;
    let before = place.open(None).unwrap().list().await.unwrap();
    for (old, new) in [
        (None, Some(key(1))),
        (Some(key(1)), Some(key(2))),
        (Some(key(2)), None),
        // What was in the configuration already does no harm where there is nothing to open.
        (Some(key(3)), Some(key(3))),
    ] {
        let uses = fs::metadata(&place.path).unwrap();
        assert_eq!(rekey(&place.path, old.as_ref(), new.as_ref()), Ok(20));
        let now = fs::metadata(&place.path).unwrap();
        assert_eq!((uses.uid(), uses.mode()), (now.uid(), now.mode()));
        let leaks = place.bytes().windows(6).any(|part| part == b"canary");
        assert_eq!(leaks, new.is_none());
        let store = place.open(new.as_ref()).unwrap();
        assert_eq!(store.list().await.unwrap(), before, "versions stay");
        let entry = store.load(&id("i7")).await.unwrap().unwrap();
        assert_eq!(entry.value, full().encode());
        let fresh = store.save(&id("new"), Secret::new("x"), Version(0)).await;
        assert!(fresh.unwrap() > before.iter().map(|one| one.version).max().unwrap());
        assert_eq!(store.forget(&id("new")).await, Ok(true));
    }
    let wrong = rekey(&place.path, Some(&key(9)), None).unwrap_err();
    assert_eq!(wrong.problem, OpenProblem::WrongKey);
    let left = fs::read_dir(place.folder.path()).unwrap().count();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn an_entry_moved_to_another_name_is_not_believed() {
    let place = place();
    filled(&place, Some(&key(1)), 2).await;
    let locked = file::existing(&place.path).unwrap();
    let database = database::disk(&locked).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut entries = txn.open_table(database::ENTRIES).unwrap();
        let stolen = entries
            .get("integration/i0")
            .unwrap()
            .unwrap()
            .value()
            .to_vec();
        entries.insert("integration/i1", stolen.as_slice()).unwrap();
        entries
            .insert("integration/short", [1_u8, 2].as_slice())
            .unwrap();
        entries
            .insert("of another time", [1_u8; 20].as_slice())
            .unwrap();
    }
    txn.commit().unwrap();
    drop((database, locked));
    let store = place.open(Some(&key(1))).unwrap();
    assert!(store.load(&id("i0")).await.is_ok());
    for name in ["i1", "short"] {
        let damaged = store.load(&id(name)).await.unwrap_err();
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
    }
    assert!(
        store
            .save(&id("short"), Secret::new("x"), Version(0))
            .await
            .is_err()
    );
    assert_eq!(store.forget(&id("short")).await, Ok(true));
    assert_eq!(store.list().await.unwrap().len(), 2);
    drop(store);
    let problem = rekey(&place.path, Some(&key(1)), None).unwrap_err().problem;
    assert!(matches!(problem, OpenProblem::Damaged(_)), "{problem}");
}

fn first(txn: &redb::WriteTransaction) -> Result<(), redb::Error> {
    append(txn, b"1>2 ")
}
fn second(txn: &redb::WriteTransaction) -> Result<(), redb::Error> {
    append(txn, b"2>3 ")
}
fn broken(_: &redb::WriteTransaction) -> Result<(), redb::Error> {
    Err(redb::Error::Corrupted("as told".to_owned()))
}
fn append(txn: &redb::WriteTransaction, step: &[u8]) -> Result<(), redb::Error> {
    let mut about = txn.open_table(ABOUT)?;
    let seen = about.get("seen")?.map(|seen| seen.value().to_vec());
    let seen = [seen.unwrap_or_default(), step.to_vec()].concat();
    about.insert("seen", seen.as_slice())?;
    Ok(())
}

#[tokio::test]
async fn a_newer_format_is_refused_and_older_ones_go_step_by_step() {
    let place = place();
    filled(&place, None, 1).await;
    let before = place.bytes();
    let wanted = Wanted::Exactly(None);
    {
        let locked = file::existing(&place.path).unwrap();
        // One that fails, or is missing: nothing is changed.
        for steps in [&[(1, broken as Step)][..], &[(2, second as Step)][..]] {
            let failed = database::rehearse(&locked, wanted, (3, steps)).unwrap_err();
            assert!(matches!(failed, OpenProblem::Damaged(_)), "{failed}");
        }
        let steps: &[(u64, Step)] = &[(2, second), (1, first)];
        drop(database::rehearse(&locked, wanted, (3, steps)).unwrap());
        assert!(place.bytes() == before);
        let database = database::disk(&locked).unwrap();
        database::make_ready(&database, 3, steps).unwrap();
        database::make_ready(&database, 3, steps).unwrap();
        let about = database.begin_read().unwrap().open_table(ABOUT).unwrap();
        let seen = about.get("seen").unwrap().unwrap();
        assert_eq!(seen.value(), b"1>2 2>3 ");
    }
    let newer = OpenProblem::Newer { found: 3, known: 1 };
    assert_eq!(place.refused(None), newer);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever bytes change, opening ends with a store or a problem, and a problem changes nothing.
    #[test]
    fn a_changed_file_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        page in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let place = place();
        runtime.block_on(filled(&place, None, 5));
        let file = fs::OpenOptions::new().write(true).open(&place.path).unwrap();
        let len = place.bytes().len();
        // Most of a small file is empty: what is in use lies in its first pages.
        let reach = len.min(16 * 4096);
        for (at, byte) in changes {
            file.write_all_at(&[byte], at.index(reach) as u64).unwrap();
        }
        if let Some(page) = page {
            file.write_all_at(&[0xA5; 4096], (page.index(reach / 4096) * 4096) as u64).unwrap();
        }
        let before = place.bytes();
        match place.open(None) {
            Ok(store) => {
                let listed = runtime.block_on(store.list()).unwrap();
                for one in listed {
                    drop(runtime.block_on(store.load(&one.key)));
                }
            }
            Err(_) => prop_assert!(place.bytes() == before),
        }
    }
}
