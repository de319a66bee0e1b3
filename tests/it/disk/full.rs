//! A small disk of our own that is full, and has room again.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::support::{Answer, Reply, Request, Vendor, request};

const INTEGRATIONS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Unmounted when dropped.
struct Disk {
    place: Place,
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.path("")).status().ok();
    }
}

impl Disk {
    /// `None` where mounting is not allowed, which is said past the harness.
    fn of(size: &str) -> Option<Self> {
        let place = Place::new();
        fs::create_dir(place.path("disk")).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(place.path("disk"))
            .output();
        let why = match mounted {
            Ok(output) if output.status.success() => return Some(Self { place }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let mut terminal = std::io::stderr().lock();
        writeln!(terminal, "skipped: no small disk can be mounted: {why}").unwrap();
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path("disk").join(name)
    }

    /// Leaves not a byte free.
    fn fill(&self) {
        let mut file = fs::File::create(self.path("ballast")).unwrap();
        for size in [65536, 4096, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.path("ballast")).unwrap();
    }
}

#[test]
fn a_full_disk_stops_the_start_and_says_so() {
    let Some(disk) = Disk::of("1m") else { return };
    disk.fill();
    let store = disk.path("state.redb");
    let log = refused(&disk.place.config(&store, None));
    says(&log, &[store.to_str().unwrap(), "no storage space"]);
    disk.empty();
    assert!(!store.exists(), "half a store is left");
}

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(request.text().as_bytes())
        .into_owned()
        .collect()
}

/// Refresh tokens work once and grow: what was stored before leaves no room for the next ones.
async fn vendor() -> Vendor {
    let good = Mutex::new(BTreeMap::<String, String>::new());
    Vendor::start(move |request, number| {
        let form = form(request);
        let (name, sent) = (form["client_id"].clone(), form["refresh_token"].clone());
        let mut good = good.lock().unwrap();
        if good.get(&name).is_some_and(|good| *good != sent) {
            return Reply::json(400, r#"{"error":"invalid_grant"}"#);
        }
        let next = format!("rt-{number}-{}", "x".repeat(1_000 * number.min(60)));
        good.insert(name, next.clone());
        let body = format!(
            r#"{{"access_token":"at-{number}","token_type":"bearer","expires_in":4,"refresh_token":"{next}"}}"#
        );
        Reply::json(200, &body)
    })
    .await
}

fn config(disk: &Disk, vendor: &Vendor) -> PathBuf {
    let path = disk.place.config(&disk.path("state.redb"), None);
    let mut text = fs::read_to_string(&path).unwrap();
    for number in 0..INTEGRATIONS {
        write!(
            text,
            "[integrations.i{number}]\ngrant = \"refresh_token\"\ntoken_endpoint = \"{}\"\n\
             token_endpoint_auth_method = \"none\"\nclient_id = \"i{number}\"\n\
             refresh_token = \"first-i{number}\"\n",
            vendor.url()
        )
        .unwrap();
    }
    fs::write(&path, text).unwrap();
    path
}

fn serve(config: &Path) -> Process {
    tokio::task::block_in_place(|| Process::serve(config, &[]))
}

async fn get(broker: &Process, path: &str) -> Answer {
    request(broker.address, &format!("GET {path}"), &[], "").await
}

async fn all_are_served(broker: &Process) {
    for number in 0..INTEGRATIONS {
        let token = get(broker, &format!("/token/i{number}")).await;
        assert_eq!(token.status, 200, "{}", token.text());
    }
}

async fn unsaved(broker: &Process) -> usize {
    let metrics = get(broker, "/metrics").await;
    let mut lines = metrics.text().lines();
    let value = lines.find_map(|line| line.strip_prefix("token_broker_store_unsaved "));
    value.unwrap().parse().unwrap()
}

/// What cannot be saved is served, shown, saved once there is room, and good for the next life.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_does_not_drop_the_new_refresh_token() {
    let Some(disk) = Disk::of("8m") else { return };
    let vendor = vendor().await;
    let config = config(&disk, &vendor);
    let mut broker = serve(&config);
    all_are_served(&broker).await;
    disk.fill();
    let (asked, give_up) = (vendor.count(), Instant::now() + PATIENCE);
    // Every one asks twice, and with the refresh token that only memory has.
    while unsaved(&broker).await == 0 || vendor.count() < asked + 2 * INTEGRATIONS {
        assert!(Instant::now() < give_up, "the disk takes everything");
        all_are_served(&broker).await;
        sleep(Duration::from_millis(50)).await;
    }
    let mut shown = 0;
    for number in 0..INTEGRATIONS {
        let status = get(&broker, &format!("/integrations/i{number}")).await;
        shown += usize::from(status.json()["store_error"].is_string());
        assert!(!status.text().contains("rt-"), "{}", status.text());
    }
    assert!(shown > 0, "status says nothing of it");
    disk.empty();
    let give_up = Instant::now() + PATIENCE;
    while unsaved(&broker).await != 0 {
        assert!(Instant::now() < give_up, "never saved");
        sleep(Duration::from_millis(50)).await;
    }
    let log = tokio::task::block_in_place(|| broker.stop());
    let words = [
        "not in the store",
        "no storage space",
        "the store recovered",
    ];
    says(&log, &words);
    assert!(!log.contains("rt-"), "a refresh token is in the log");
    // The next life goes on with the last refresh token of each: a spent one would be refused.
    let (asked, give_up) = (vendor.count(), Instant::now() + PATIENCE);
    let mut broker = serve(&config);
    while vendor.count() < asked + 2 * INTEGRATIONS {
        assert!(Instant::now() < give_up, "it does not go on");
        sleep(Duration::from_millis(50)).await;
    }
    all_are_served(&broker).await;
    tokio::task::block_in_place(|| broker.stop());
}
