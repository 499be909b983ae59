//! `config init|check|show`: the configuration itself.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::cli::ConfigCommand;
use crate::config::{Config, FILE_NAME, Provider, Severity, Shown, exact_size};
use crate::error::{Code, Error, Result};
use crate::output::{Grid, count};
use crate::run::Context;

/// What `config init` writes.
const TEMPLATE: &str = include_str!("config/template.toml");
/// How many providers `config check --connect` opens at a time.
const OPENED_AT_ONCE_MAX: usize = 8;

pub(crate) async fn run(context: &Context, command: ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Init => init(context),
        ConfigCommand::Check { connect } => {
            context.unless_interrupted("nothing was changed", check(context, connect)).await
        }
        ConfigCommand::Show => show(context),
    }
}

fn init(context: &Context) -> Result<()> {
    let path = context.global.config.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let shown = path.display();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(Error::file(format!("make {}", folder.display())))?;
    }
    let mut file = std::fs::File::create_new(&path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::Conflict(format!(
            "{shown} exists already, and is left as it is\n  = choose another place with --config FILE"
        )),
        _ => Error::File { what: format!("write {shown}"), error },
    })?;
    file.write_all(TEMPLATE.as_bytes()).map_err(Error::file(format!("write {shown}")))?;
    context.output.done(
        format_args!(
            "wrote {shown}\nnext: edit it, then `cloudbank config check --connect` says whether it works"
        ),
        &json!({ "file": path }),
    )
}

async fn check(context: &Context, connect: bool) -> Result<()> {
    let config = context.config()?;
    let problems = config.problems();
    let (errors, warnings) = (problems.errors(), problems.list.len() - problems.errors());
    let mut opened = Vec::new();
    if connect {
        opened = open_all(&config).await;
    }
    let failed = opened.iter().filter(|(_, result)| result.is_err()).count();
    if context.output.json {
        let providers: Vec<_> = config
            .providers()
            .map(|provider| {
                let opening = opened.iter().find(|(name, _)| name == provider.name());
                json!({
                    "name": provider.name(),
                    "type": provider.kind(),
                    "valid": provider.problems().iter().all(|p| p.severity == Severity::Warning),
                    "opened": opening.map(|(_, result)| result.is_ok()),
                    "error": opening.and_then(|(_, result)| result.as_ref().err()).map(Error::json),
                })
            })
            .collect();
        context.output.json(&json!({
            "file": config.source().name,
            "problems": problems.json(),
            "providers": providers,
        }))?;
    } else {
        if !problems.list.is_empty() {
            context.output.line(format_args!("{problems}\n"))?;
        }
        for (_, result) in &opened {
            if let Err(error) = result {
                context.output.line(format_args!("{error}\n"))?;
            }
        }
        let mut table = Grid::new(&["provider", "type", "state"], &[]);
        for provider in config.providers() {
            let valid = provider.problems().iter().all(|p| p.severity == Severity::Warning);
            let state = match opened.iter().find(|(name, _)| name == provider.name()) {
                _ if !valid => "wrong, see above".to_owned(),
                Some((_, Ok(info))) => format!("reached: {info}"),
                Some((_, Err(_))) => "cannot be used, see above".into(),
                None => "well written".into(),
            };
            table.row([provider.name().into(), provider.kind().into(), state]);
        }
        if !context.output.quiet {
            for line in table.lines() {
                context.output.line(line)?;
            }
            let file = &config.source().name;
            context.output.line(match (errors, warnings, failed) {
                (0, 0, 0) => format!("{file}: no problem"),
                (0, 0, failed) => {
                    format!("{file}: {} cannot be used", count(failed as u64, "provider"))
                }
                (errors, warnings, _) => format!(
                    "{file}: {}, {}",
                    count(errors as u64, "problem"),
                    count(warnings as u64, "warning")
                ),
            })?;
        }
    }
    let worst =
        opened.iter().filter_map(|(_, result)| result.as_ref().err()).map(Error::code).max();
    match (errors, worst) {
        (0, None) => Ok(()),
        (0, Some(code)) => Err(Error::Reported(code)),
        _ => Err(Error::Reported(Code::Usage)),
    }
}

/// Opens every provider that nothing is wrong with, and says what it found.
async fn open_all(config: &Config) -> Vec<(String, Result<String>)> {
    let usable: Vec<&Provider> = config
        .providers()
        .filter(|provider| provider.problems().iter().all(|p| p.severity == Severity::Warning))
        .collect();
    stream::iter(usable)
        .map(|provider| async move {
            let opened = provider.open().await.map(|handle| {
                let info = handle.info();
                let size = exact_size(info.capabilities.object_bytes_max);
                format!("{}, objects of up to {size}", info.name)
            });
            (provider.name().to_owned(), opened)
        })
        .buffered(OPENED_AT_ONCE_MAX)
        .collect()
        .await
}

fn show(context: &Context) -> Result<()> {
    let config = context.config()?;
    let problems = config.problems();
    if context.output.json {
        let providers: serde_json::Map<_, _> = config
            .providers()
            .map(|provider| {
                let settings: serde_json::Map<_, _> = provider
                    .shown()
                    .iter()
                    .map(|setting| {
                        let value = json!({
                            "value": setting.value,
                            "default": !setting.written,
                            "from": setting.reference,
                        });
                        (setting.name.clone(), value)
                    })
                    .collect();
                let value = json!({ "type": provider.kind(), "settings": settings });
                (provider.name().to_owned(), value)
            })
            .collect();
        context.output.json(&json!({
            "file": config.source().name,
            "providers": providers,
            "store": config.store_named(),
            "problems": problems.json(),
        }))?;
    } else {
        context.output.line(format_args!("# {}", config.source().name))?;
        for provider in config.providers() {
            show_provider(context, provider)?;
        }
        if let Some((voters, objects)) = config.store_voters() {
            let voters: Vec<_> = voters.iter().map(|name| format!("\"{name}\"")).collect();
            let voters = voters.join(", ");
            let roles = format_args!("\n[store]\nlog = [{voters}]\nobjects = \"{objects}\"");
            context.output.line(roles)?;
        }
        let named = config.store_named().filter(|_| config.store_voters().is_none());
        match named.as_deref().map(|name| (name, name.split_once('+'))) {
            Some((_, Some((log, objects)))) => {
                let roles = format_args!("\n[store]\nlog = \"{log}\"\nobjects = \"{objects}\"");
                context.output.line(roles)?;
            }
            Some((name, None)) => {
                context.output.line(format_args!("\n[store]\nprovider = \"{name}\""))?;
            }
            None => {}
        }
        if !config.store_spares().is_empty() {
            let spares: Vec<_> =
                config.store_spares().iter().map(|it| format!("\"{it}\"")).collect();
            context.output.line(format_args!("spares = [{}]", spares.join(", ")))?;
        }
        for (written, settings) in config.other_tables() {
            context.output.line(format_args!("\n{written}"))?;
            show_settings(context, settings)?;
        }
    }
    if problems.errors() > 0 {
        return Err(Error::Config(Box::new(problems)));
    }
    Ok(())
}

fn show_provider(context: &Context, provider: &Provider) -> Result<()> {
    let output = &context.output;
    output.line(format_args!("\n[providers.{}]", provider.name()))?;
    output.line(format_args!("type = \"{}\"", provider.kind()))?;
    show_settings(context, provider.shown())
}

fn show_settings(context: &Context, settings: &[Shown]) -> Result<()> {
    let output = &context.output;
    for setting in settings {
        let name = &setting.name;
        let written = match (&setting.value, setting.written) {
            (Some(value), true) => format!("{name} = {value}"),
            (Some(value), false) => format!("{name} = {value}  # default"),
            (None, _) => format!("# {name} is not set"),
        };
        match &setting.reference {
            Some(reference) => output.line(format_args!("{written}  # from {reference}"))?,
            None => output.line(written)?,
        }
    }
    Ok(())
}
