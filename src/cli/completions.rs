//! `completions`: a script that completes our arguments in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::output::{Exit, Output};

/// Print a script that completes the arguments in your shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker completions bash > /etc/bash_completion.d/token-broker
  token-broker completions zsh > ~/.zfunc/_token-broker
  token-broker completions fish > ~/.config/fish/completions/token-broker.fish")]
pub(super) struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<(), Exit> {
    let mut script = Vec::new();
    let mut command = super::Cli::command();
    clap_complete::generate(args.shell, &mut command, "token-broker", &mut script);
    output.bytes(&script)
}
