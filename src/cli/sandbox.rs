//! `sandbox`: emulated vendors on localhost.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::output::{Exit, Output};
use super::setup;
use crate::sandbox::{CONSENT_VENDORS, DEFAULT_ADDRESS, Sandbox, VENDORS};

/// Run emulated vendors on localhost, to try a broker or your app without real credentials.
///
/// Their credentials are made up and shown at the sandbox's own address, with curl lines to paste.
/// Trouble is switched on over a control path: errors, delays, resets, throttling and more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker sandbox
  curl http://127.0.0.1:8658/                          credentials and curl lines
  curl http://127.0.0.1:8658/control/360learning/fault -d '{\"kind\": \"hang\", \"times\": 2}'
  token-broker serve --config config/demo.toml         a broker that uses it")]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_ADDRESS)]
    listen: SocketAddr,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<(), Exit> {
    setup::block_on(serve(args.listen, output))?
}

async fn serve(listen: SocketAddr, output: &mut Output) -> Result<(), Exit> {
    let sandbox = bind(listen, "--listen").await?;
    let address = sandbox.address();
    output.line(&format!("emulated vendors on http://{address}"))?;
    for vendor in VENDORS.iter().chain(CONSENT_VENDORS) {
        output.line(&format!(
            "  http://{address}/{}{}",
            vendor.name, vendor.token_path
        ))?;
    }
    output.line(&format!(
        "credentials and lines to paste: curl http://{address}/\nCtrl-C ends it"
    ))?;
    let stop = CancellationToken::new();
    let _stop_whatever_happens = stop.clone().drop_guard();
    tokio::select! {
        () = sandbox.run(stop) => Ok(()),
        stopped = setup::told_to_stop() => stopped,
    }
}

/// Binds, or says which port is taken and what to do about it.
pub(super) async fn bind(listen: SocketAddr, flag: &str) -> Result<Sandbox, Exit> {
    Sandbox::bind(listen).await.map_err(|error| {
        Exit::Failed(format!(
            "error: the sandbox cannot listen on {listen}: {error}\n  \
             stop what uses that port (ss -ltnp shows it), or choose another: {flag} 127.0.0.1:0"
        ))
    })
}
