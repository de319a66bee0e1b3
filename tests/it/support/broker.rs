//! A whole broker, built from a configuration text, in the test's own runtime.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use token_broker::app::{App, Deps, RunError, Trigger};
use token_broker::base::{Clock as _, SystemClock, Timestamp, TokioClock};
use token_broker::config::{Env, Format, Loaded, Options, Watch, load_text};
use token_broker::spec::Listen;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::caller::{Answer, request};

/// The wall clock at the start.
const START: i64 = 1_800_000_000;

pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<TokioClock>,
    trigger: Trigger,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
    pacer: JoinHandle<()>,
}

/// Lets a paused clock jump by small steps only, and never before the kernel had a moment to
/// deliver what is on its way between two sockets: else a busy machine makes time-outs fire early.
async fn pace() {
    loop {
        // While a blocking task runs, the clock stands still.
        let moment = || std::thread::sleep(Duration::from_micros(200));
        tokio::task::spawn_blocking(moment).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
        self.pacer.abort();
    }
}

/// Ten lines for a vendor at `url`, named `name`; `more` is TOML for the same table.
pub(crate) fn integration(name: &str, url: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{url}\"\n\
         client_id = \"abc\"\nclient_secret = \"s3cret\"\n{more}\n"
    )
}

impl Broker {
    /// Starts a broker on a free port; `config` is TOML without `[server]`.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_at(config, Timestamp::from_unix_seconds(START))
    }

    /// The same at this machine's time, for real servers that look at the clock.
    pub(crate) fn start_now(config: &str) -> Self {
        Self::start_at(config, SystemClock.now().wall)
    }

    fn start_at(config: &str, start: Timestamp) -> Self {
        let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n{config}");
        let env = Env::from_pairs::<&str, &str>([]);
        let loaded = load_text("test.toml", &text, Format::Toml, &env, Options::default())
            .unwrap_or_else(|problems| panic!("{problems}"));
        Self::run(loaded, env, None, start)
    }

    /// The same with a file or folder, which is followed; it says itself where it listens.
    pub(crate) fn follow(path: &Path) -> Self {
        let env = Env::from_pairs::<&str, &str>([]);
        let mut watch = Watch::new(path.to_owned(), env.clone(), Options::default());
        let start = Timestamp::from_unix_seconds(START);
        let loaded = watch.load(start);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        Self::run(loaded, env, Some(watch), start)
    }

    fn run(loaded: Loaded, env: Env, watch: Option<Watch>, start: Timestamp) -> Self {
        let clock = Arc::new(TokioClock::starting_at(start));
        let deps = Deps {
            clock: Arc::<TokioClock>::clone(&clock),
            env,
        };
        let mut app = App::build(loaded.spec, deps).unwrap();
        if let Some(watch) = watch {
            app = app.watching(watch);
        }
        let trigger = app.trigger();
        let Some(Listen::Tcp(address)) = app.addresses().first().cloned() else {
            panic!("no address")
        };
        let stop = CancellationToken::new();
        let task = tokio::task::spawn(app.run(stop.clone()));
        Self {
            address,
            clock,
            trigger,
            stop,
            task,
            pacer: tokio::task::spawn(pace()),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request(self.address, &format!("GET {path}"), &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let json = "Content-Type: application/json";
        request(self.address, &format!("POST {path}"), &[json], body).await
    }

    pub(crate) async fn status(&self, name: &str) -> Value {
        self.get(&format!("/integrations/{name}")).await.json()
    }

    /// Asks every 50 ms until `holds` does; fails after ten minutes of the paused clock.
    pub(crate) async fn until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..12_000 {
            let status = self.status(name).await;
            if holds(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never: {}", self.status(name).await);
    }

    /// Reloads as SIGHUP does, and waits for the end of that.
    pub(crate) async fn reload(&self) -> Value {
        let before = self.last_reload().await;
        // A reload in the same second could look like the one before.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.trigger.pull();
        self.until_reloaded(&before).await
    }

    pub(crate) async fn last_reload(&self) -> Value {
        self.get("/integrations").await.json()["config"]["last_reload"].clone()
    }

    /// Waits for a reload other than `before`.
    pub(crate) async fn until_reloaded(&self, before: &Value) -> Value {
        for _ in 0..12_000 {
            let last = self.last_reload().await;
            if last != *before {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never reloaded");
    }

    /// One value of the metrics.
    pub(crate) async fn metric(&self, series: &str) -> String {
        let page = self.get("/metrics").await;
        let found = page.text().lines().find_map(|line| {
            let value = line.strip_prefix(series)?.strip_prefix(' ')?;
            Some(value.to_owned())
        });
        found.unwrap_or_else(|| panic!("no {series}"))
    }

    /// Begins to stop as SIGTERM does.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Waits for an end that nobody asked for.
    pub(crate) async fn ended(mut self) -> Result<(), RunError> {
        (&mut self.task).await.unwrap()
    }

    /// How it ends.
    pub(crate) async fn end(mut self) -> Result<(), RunError> {
        self.stop.cancel();
        (&mut self.task).await.unwrap()
    }

    /// Stops it as SIGTERM does and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap().unwrap();
    }
}
