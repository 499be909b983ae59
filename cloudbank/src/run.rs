//! From arguments to an exit code.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::arrays::Arrays;
use crate::cli::{self, Cli, Command, Global};
use crate::commands;
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::output::Output;
use crate::registry::Registry;

/// How long requests under way may take to end once the command has.
const LAST_REQUESTS: Duration = Duration::from_millis(500);
/// How soon after an interruption another one counts as the same.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// What every command is given.
pub(crate) struct Context {
    pub(crate) registry: Registry,
    pub(crate) global: Global,
    pub(crate) output: Output,
    /// The arrays that were opened, by each configuration that was read.
    arrays: Mutex<Vec<Arrays>>,
    interrupt: watch::Receiver<bool>,
}

impl Context {
    /// The configuration.
    pub(crate) fn config(&self) -> Result<Config> {
        let variables = |name: &str| std::env::var_os(name);
        let config = Config::load(&self.registry, self.global.config.as_deref(), &variables)?;
        self.arrays.lock().unwrap_or_else(PoisonError::into_inner).push(config.arrays().clone());
        Ok(config)
    }

    /// Brings the members of arrays what they are owed, now that the command is done.
    async fn settle(&self) {
        let arrays = self.arrays.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for arrays in arrays {
            tokio::select! {
                () = arrays.settle(&self.output) => {}
                () = self.interrupted() => return,
            }
        }
    }

    /// Ends when the user interrupts the command.
    pub(crate) async fn interrupted(&self) {
        let mut interrupt = self.interrupt.clone();
        if interrupt.wait_for(|interrupted| *interrupted).await.is_err() {
            // Nobody listens to signals: it will not be interrupted.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the user has interrupted the command.
    pub(crate) fn is_interrupted(&self) -> bool {
        *self.interrupt.borrow()
    }

    /// Does something that may be dropped at any point, until the user interrupts it.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        what_remains: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.interrupted() => Err(Error::Interrupted(what_remains.into())),
        }
    }
}

/// The whole program: arguments and environment of the process, a runtime, logs on standard error.
///
/// # Examples
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     cloudbank::main_with(cloudbank::Registry::standard())
/// }
/// ```
#[must_use]
pub fn main_with(registry: Registry) -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(tell_usage(&error) as u8),
    };
    if !logs_for_itself(&cli.command) {
        start_logs(&cli.global);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: no threads to work with: {error}");
            return ExitCode::from(Code::Failed as u8);
        }
    };
    let code = runtime.block_on(async {
        let (sender, interrupt) = watch::channel(false);
        let listener = tokio::spawn(listen(sender));
        let code = execute(registry, cli, interrupt).await;
        listener.abort();
        code
    });
    // A read of standard input that nobody waits for any more must not keep the process alive.
    runtime.shutdown_timeout(if code == Code::Interrupted {
        LAST_REQUESTS
    } else {
        Duration::ZERO
    });
    ExitCode::from(code as u8)
}

/// Runs one command line, the program's name first, within a runtime of the caller's.
///
/// Signals are left alone and logs are not set up: that is [`main_with`].
pub async fn run(registry: Registry, arguments: impl IntoIterator<Item = OsString>) -> Code {
    let (_sender, interrupt) = watch::channel(false);
    match cli::parse(arguments) {
        Ok(cli) => execute(registry, cli, interrupt).await,
        Err(error) => tell_usage(&error),
    }
}

async fn execute(registry: Registry, cli: Cli, interrupt: watch::Receiver<bool>) -> Code {
    let Cli { global, command } = cli;
    let output = Output::new(global.json, global.quiet);
    let context = Context { registry, global, output, arrays: Mutex::default(), interrupt };
    let done = match command {
        Command::Config(command) => commands::config::run(&context, command).await,
        Command::Provider(command) => commands::provider::run(&context, command).await,
        Command::Store(command) => commands::store::run(&context, command).await,
        Command::Array(command) => commands::array::run(&context, command).await,
        Command::Replica(command) => commands::replica::run(&context, command).await,
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => commands::serve::run(&context, &arguments).await,
        #[cfg(feature = "s3")]
        Command::S3(arguments) => commands::s3::run(&context, *arguments).await,
        #[cfg(feature = "gateway-tahoe")]
        Command::Tahoe(command) => commands::tahoe::run(&context, command).await,
        Command::Conformance(arguments) => commands::conformance::run(&context, arguments).await,
        Command::ConformanceWorker { which } => commands::conformance::work(&context, &which).await,
        Command::Completions { shell } => commands::completions::run(&context, shell),
    };
    context.settle().await;
    // Results of a command that failed later on are results all the same.
    let flushed = context.output.flush();
    match done.and(flushed) {
        Ok(()) => Code::Done,
        Err(error) => {
            if !error.is_silent() {
                context.output.failure(&error);
            }
            error.code()
        }
    }
}

fn tell_usage(error: &clap::Error) -> Code {
    // There is nothing to be done when the message cannot be written.
    let _ = error.print();
    if error.use_stderr() { Code::Usage } else { Code::Done }
}

/// Notes the first interruption; the second ends the process on the spot.
async fn listen(sender: watch::Sender<bool>) {
    if stop_signal().await.is_err() {
        return;
    }
    let _ = sender.send(true);
    // One key press may arrive more than once: as a signal to this process and to its group.
    let patient_until = tokio::time::Instant::now() + SAME_SIGNAL;
    while stop_signal().await.is_ok() {
        if tokio::time::Instant::now() >= patient_until {
            std::process::exit(Code::Interrupted as i32);
        }
    }
}

#[cfg(unix)]
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Whether how a command logs is a matter of its configuration.
fn logs_for_itself(command: &Command) -> bool {
    #[cfg(feature = "serve")]
    return matches!(command, Command::Serve(_));
    #[cfg(not(feature = "serve"))]
    {
        let _ = command;
        false
    }
}

fn start_logs(global: &Global) {
    let ours = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        _ => "debug",
    };
    let crates = [
        "cloudbank",
        "storage_wrappers",
        "storage_txn",
        "backend_fs",
        "backend_s3",
        "backend_azure",
        "conformance",
    ];
    let default = crates.map(|name| format!("{name}={ours}")).join(",");
    // Other people's crates stay at errors: what they log is not known to be free of secrets.
    let filter = EnvFilter::try_from_env("CLOUDBANK_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("error,{default}")));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    // Somebody else's subscriber stays in place.
    let _ = if global.verbose > 1 { logs.try_init() } else { logs.without_time().try_init() };
}
