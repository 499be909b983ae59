//! `replica status`: how far a copy is behind its store.

use std::time::Duration;

use serde_json::json;
use storage_txn::ReplicaStage;

use super::Pair;
use crate::cli::WhichReplica;
use crate::commands::store::at::moment;
use crate::error::{Code, Error, Result};
use crate::output::{Grid, count};
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &WhichReplica) -> Result<()> {
    let pair = Pair::find(context, which)?;
    let mut replica = pair.open(true).await?;
    let status = replica.status().await.map_err(|error| pair.explain(error))?;
    let stage = match status.stage {
        ReplicaStage::Filling => "filling",
        ReplicaStage::Following => "following",
        ReplicaStage::Promoted => "promoted",
        ReplicaStage::Forced => "promoted by force",
        _ => "unknown",
    };
    let is_copy = matches!(status.stage, ReplicaStage::Following);
    let behind = match &status.source {
        Ok((version, _)) if is_copy => Some(version.0.saturating_sub(status.version.0)),
        _ => None,
    };
    if context.output.json {
        let source = match &status.source {
            Ok((version, time)) => json!({ "version": version.0, "time": moment(*time) }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        context.output.json(&json!({
            "stage": stage.replace(' ', "_"),
            "version": status.version.0,
            "time": status.time.map(moment),
            "behind": behind,
            "store": source,
        }))?;
    } else {
        let mut grid = Grid::new(&["", "PROVIDER", "VERSION", "TIME", ""], &[2]);
        let (version, time, why) = match &status.source {
            Ok((version, time)) => (
                version.to_string(),
                shown(*version == storage_txn::Version::ZERO, *time),
                String::new(),
            ),
            Err(error) => (String::new(), String::new(), error.to_string()),
        };
        grid.row(["store".into(), pair.store.clone(), version, time, why]);
        let what = match behind {
            Some(0) => format!("{stage}, with everything"),
            Some(behind) => format!("{stage}, {} behind", count(behind, "version")),
            None => stage.to_owned(),
        };
        let time = status.time.map(moment).unwrap_or_default();
        let version = match status.stage {
            ReplicaStage::Filling => String::new(),
            _ => status.version.to_string(),
        };
        grid.row(["copy".into(), pair.copy.clone(), version, time, what]);
        for line in grid.lines() {
            context.output.line(line)?;
        }
    }
    match status.stage {
        ReplicaStage::Filling => Err(Error::Reported(Code::Failed)),
        _ => Ok(()),
    }
}

fn shown(is_empty: bool, time: Duration) -> String {
    if is_empty { String::new() } else { moment(time) }
}
