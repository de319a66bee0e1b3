//! The commands: one file each. The only module that prints.
//!
//! Parses arguments, calls the others, and puts what they say into words for people. Must not hold
//! rules of its own. Invariant: no secret is printed but the token that `token` was asked for.

mod broker;
mod check;
mod completions;
#[cfg(feature = "sandbox")]
mod demo;
mod doctor;
mod explain;
mod healthcheck;
mod login;
mod output;
mod providers;
#[cfg(feature = "sandbox")]
mod sandbox;
mod serve;
mod setup;
mod status;
mod store;
mod table;
mod token;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::app::forbid_core_dumps;
use crate::config::Env;
use output::{Exit, Output};

/// Obtains vendors' access tokens, keeps them fresh, and serves them on localhost.
///
/// One small process beside your app holds the credentials; your app gets its token with
/// `curl http://127.0.0.1:8656/token/NAME`.
#[derive(Debug, Parser)]
#[command(name = "token-broker", version, max_term_width = 100, after_help = START)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[cfg(feature = "sandbox")]
const START: &str = "\
Examples:
  token-broker demo                          see it work, without any credentials
  token-broker providers                     vendors it knows, and what each needs
  token-broker check --config broker.toml    is this configuration right?
  token-broker doctor --config broker.toml   do the vendors accept it? if not, why?
  token-broker serve --config broker.toml    run
  token-broker token NAME --format raw       a token from the running broker
  token-broker login NAME                    give consent, where a vendor wants a person's

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";
#[cfg(not(feature = "sandbox"))]
const START: &str = "\
Examples:
  token-broker providers                     vendors it knows, and what each needs
  token-broker check --config broker.toml    is this configuration right?
  token-broker doctor --config broker.toml   do the vendors accept it? if not, why?
  token-broker serve --config broker.toml    run
  token-broker token NAME --format raw       a token from the running broker
  token-broker login NAME                    give consent, where a vendor wants a person's

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Token(token::Args),
    Login(login::Args),
    Status(status::Args),
    Healthcheck(healthcheck::Args),
    Store(store::Args),
    Providers(providers::Args),
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::Args),
    #[cfg(feature = "sandbox")]
    Demo(demo::Args),
    Completions(completions::Args),
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Runs the command that the arguments name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Most commands hold secrets at some time, not only the broker.
    forbid_core_dumps();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help goes to standard output with 0, a mistake to standard error with 2.
            let code = u8::try_from(usage.exit_code()).unwrap_or(2);
            return match usage.print() {
                // A reader that went away, as `| head` does, has what it wanted.
                Ok(()) | Err(_) => ExitCode::from(code),
            };
        }
    };
    let mut output = Output::terminal();
    let env = Env::from_process();
    let ended = dispatch(cli.command, &env, &mut output);
    output.finish(ended)
}

fn dispatch(command: Command, env: &Env, output: &mut Output) -> Result<(), Exit> {
    match command {
        Command::Serve(args) => serve::run(&args, env, output),
        Command::Check(args) => check::run(&args, env, output),
        Command::Doctor(args) => doctor::run(&args, env, output),
        Command::Token(args) => token::run(&args, env, output),
        Command::Login(args) => login::run(&args, env, output),
        Command::Status(args) => status::run(&args, env, output),
        Command::Healthcheck(args) => healthcheck::run(&args, env, output),
        Command::Store(args) => store::run(&args, env, output),
        Command::Providers(args) => providers::run(&args, env, output),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(&args, output),
        #[cfg(feature = "sandbox")]
        Command::Demo(args) => demo::run(&args, output),
        Command::Completions(args) => completions::run(&args, output),
    }
}

#[cfg(test)]
mod tests;
