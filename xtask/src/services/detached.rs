//! Servers that stay up between commands, for running single tests by hand.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::{Signal, kill_process_group};

use super::process::{Lifetime, alive};
use super::{STARTS_MAX, Service, launch};

/// Starts a server that stays, unless it is up already, and answers with its URL.
pub(super) fn start(service: Service, cache: &Path) -> Result<String> {
    let _one_at_a_time = lock(service, cache)?;
    let folder = folder(service, cache);
    if alive(&folder).is_some()
        && let Ok(url) = fs::read_to_string(folder.join("url"))
    {
        eprintln!("services: {} is running already", service.name());
        return Ok(url);
    }
    let tool = service.install(cache)?;
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let mut starts = 1;
    loop {
        let plan = |folder: &Path| service.plan(&tool, folder);
        let mut attempt = launch(service.name(), &folder, &plan, Lifetime::Detached)?;
        match attempt.wait() {
            Ok(()) => {
                fs::write(folder.join("url"), &attempt.url)?;
                return Ok(attempt.url);
            }
            Err(error) if !attempt.running.has_ended() || starts == STARTS_MAX => {
                let tail = attempt.running.log_tail();
                attempt.running.kill();
                return Err(error.context(tail));
            }
            Err(_) => starts += 1,
        }
    }
}

/// Stops a server that was left running. Whether there was one.
pub(super) fn stop(service: Service, cache: &Path) -> Result<bool> {
    let _one_at_a_time = lock(service, cache)?;
    let folder = folder(service, cache);
    let group = alive(&folder);
    if let Some(group) = group {
        kill_process_group(group, Signal::KILL)
            .with_context(|| format!("stop {}", service.name()))?;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(group.is_some())
}

fn folder(service: Service, cache: &Path) -> PathBuf {
    cache.join("detached").join(service.name())
}

fn lock(service: Service, cache: &Path) -> Result<File> {
    fs::create_dir_all(cache.join("detached"))?;
    let file = File::create(cache.join("detached").join(format!("{}.lock", service.name())))?;
    file.lock()?;
    Ok(file)
}
