//! `tidegate scheduler`: the dispatcher itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::config::{Log, read_part};
use guard::{log, runtime};
use scheduler::admin;
use scheduler::book::read_schedules;
use scheduler::config::{File, TABLES};
use scheduler::dispatch::outlet::Outlet;
use scheduler::dispatch::{Dispatcher, Settings, pressure};
use scheduler::ledger::Ledger;
use scheduler::metrics::Metrics;
use scheduler::schedule::desk::Desk;
use scheduler::schedule::keeper::{self, Keeper};
use scheduler::source::origin::Origin;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::exit::Failure;

/// Run the scheduler.
///
/// SIGTERM or SIGINT stops it in order: nothing new is begun, what is under way is finished, and the rest is
/// released for others. A second one, or the end of scheduler.drain_timeout, leaves it to its leases.
#[derive(Debug, Args)]
pub(crate) struct Scheduler {
    /// The configuration: its tables [scheduler], [sink.NAME], [source.NAME],
    /// `[[schedule]]` and [log].
    #[arg(short, long, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
struct LogPart {
    #[serde(default)]
    log: Log,
}

/// What a file says of the scheduler.
///
/// # Errors
/// When it says nothing of it, or something that is wrong.
pub(crate) fn file(path: &Path) -> Result<File, Failure> {
    let file = read_part(path, &TABLES, File::check)?;
    let file = file.ok_or_else(|| {
        let why = "has no [scheduler]; expected at least ledger = \"sqlite:FILE\" in it";
        Failure::Usage(format!("{}: {why}", path.display()))
    })?;
    with_schedules(file)
}

/// The same with what the file says that `scheduler.schedules` names.
///
/// # Errors
/// When that cannot be read, or says something that is wrong.
pub(crate) fn with_schedules(mut file: File) -> Result<File, Failure> {
    let Some(path) = file.scheduler.schedules.clone() else { return Ok(file) };
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| wrong(format!("scheduler.schedules: {error}")))?;
    let more = read_schedules(&text).map_err(|error| wrong(error.to_string()))?;
    file.schedules.extend(more);
    // Sinks and sources that they name, and names that are there twice.
    match file.check().into_iter().next() {
        None => Ok(file),
        Some((key, why)) => {
            let place = key.get(1).and_then(|at| at.parse::<usize>().ok());
            let name = place.and_then(|at| file.schedules.get(at)).map(|schedule| &schedule.name);
            let key = key.last().cloned().unwrap_or_default();
            Err(wrong(format!("schedule {name:?}: {key}: {why}", name = name.map_or("", |n| n))))
        }
    }
}

impl Scheduler {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = file(&self.config)?;
        let part = read_part::<LogPart>(&self.config, &["log"], |_| Vec::new())?;
        log::install(&part.unwrap_or_default().log).context("the log cannot be set up")?;
        runtime::build(0)?.block_on(serve(file))
    }
}

async fn serve(file: File) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let dispatcher = Arc::new(start(&file).await?);
    let address = file.scheduler.admin;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("scheduler.admin = {address} cannot be listened on"))?;
    let (sinks, schedules) = (file.sinks.len(), file.schedules.len());
    info!(address = %listener.local_addr()?, sinks, schedules, "scheduler running");
    let served = tokio::spawn(admin::serve(listener, Arc::clone(&dispatcher)));
    let (stop, stopped) = watch::channel(());
    let until = |mut stopped: watch::Receiver<()>| async move {
        // The sender is dropped, nothing is ever sent.
        drop(stopped.changed().await);
    };
    let keeper = Arc::new(keeper(&file, &dispatcher)?);
    let mut desks = JoinSet::new();
    for (name, source) in file.sources.iter().filter(|(_, source)| source.requests) {
        let (source, url) = (name.clone(), source.url.clone());
        let desk = Desk { source, url, spool: file.scheduler.spool.clone() };
        desks.spawn(desk.run(Arc::clone(&dispatcher)));
    }
    let stopping = until(stopped.clone());
    let kept = tokio::spawn(async move { keeper.run(stopping).await });
    let dispatched = dispatcher.run(async {
        until(stopped).await;
        // The dispatcher closes the ledger, to which schedules are given back before.
        drop(kept.await);
        desks.shutdown().await;
    });
    let twice = async {
        for stop in [Some(stop), None] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            drop(stop);
        }
    };
    tokio::select! {
        () = dispatched => info!("stopped"),
        () = twice => warn!("stopped by a second signal; chunks are claimed again when their leases are over"),
    }
    served.abort();
    Ok(())
}

async fn start(file: &File) -> Result<Dispatcher, Failure> {
    let config = &file.scheduler;
    let ledger = Ledger::open(&config.ledger, config.connections);
    let ledger = ledger.await.context("scheduler.ledger cannot be opened")?;
    let metrics = Arc::new(Metrics::new(
        file.sinks.keys(),
        file.schedules.iter().map(|schedule| &schedule.name),
    ));
    let mut outlets = BTreeMap::new();
    for (name, sink) in &file.sinks {
        let counted = metrics.sink(name).cloned().context("each sink has its metrics")?;
        let outlet = Outlet::open(sink, &config.ledger, counted)
            .map_err(|error| anyhow!("sink.{name}: {error}"))?;
        outlets.insert(name.clone(), Arc::new(outlet));
    }
    if outlets.is_empty() {
        return Err(Failure::Usage("there is no [sink.NAME]: nothing could be sent".into()));
    }
    let pressure = config.guard.clone().map(|guard| {
        let (signal, heard) = watch::channel(None);
        tokio::spawn(pressure::follow(guard, signal));
        heard
    });
    if pressure.is_none() {
        warn!(
            "scheduler.guard is not set: nothing slows a batch down when the database is pressed"
        );
    }
    let sources = sources(file)?;
    let patience = file.sinks.values().map(|sink| sink.timeout).max().unwrap_or_default();
    let settings = Settings {
        name: config.name.clone().unwrap_or_else(name),
        terms: config.terms(patience),
        chunks: config.chunks,
        drain_timeout: config.drain_timeout,
        sources,
    };
    let dispatcher = Dispatcher::new(ledger, outlets, (settings, metrics), pressure).await;
    Ok(dispatcher.context("the ledger does not answer")?)
}

/// What has schedules fired.
fn keeper(file: &File, dispatcher: &Arc<Dispatcher>) -> Result<Keeper, Failure> {
    let ready = |schedule: &scheduler::config::Schedule| {
        let wrong = |(key, why)| anyhow!("schedule {}: {key}: {why}", schedule.name);
        Ok(Arc::new(schedule.ready().map_err(wrong)?))
    };
    let specs = file.schedules.iter().map(ready).collect::<anyhow::Result<_>>()?;
    let config = &file.scheduler;
    let settings = keeper::Settings {
        name: config.name.clone().unwrap_or_else(name),
        lease: config.lease,
        spool: config.spool.clone(),
        sources: sources(file)?,
    };
    Ok(Keeper::new(Arc::clone(dispatcher), specs, settings))
}

/// Where recipients are read, and checks asked, by name.
fn sources(file: &File) -> Result<BTreeMap<String, Arc<Origin>>, Failure> {
    let ready = |(name, source): (&String, &scheduler::config::Source)| {
        let origin = source.ready().map_err(|(key, why)| anyhow!("source.{name}.{key}: {why}"))?;
        Ok((name.clone(), origin))
    };
    file.sources.iter().map(ready).collect()
}

/// Host and process.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), std::process::id())
}
