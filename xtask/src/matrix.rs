//! `cargo xtask matrix`: docs/providers.md, made from runs of the suite on everything at hand.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::services::{ACCESS_KEY, SECRET_KEY, Service, Services, run_to_end};
use crate::workspace;

/// Where the matrix is.
const PAGE: &str = "docs/providers.md";
/// The columns taken from a row of the suite's own Markdown report, by their headings there.
const DECLARED: [&str; 6] = ["absent", "matches", "lists", "durability", "versions", "sharing"];
/// The account key of every emulator of Azure's, which is public.
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Arguments of `cargo xtask matrix`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if the page is not what the runs say.
    #[arg(long)]
    check: bool,
    /// The levels to run, as `cloudbank conformance` takes them. With scale, Azurite takes many minutes.
    #[arg(long, default_value = "all")]
    level: String,
}

/// A provider of the matrix.
struct Entry {
    name: &'static str,
    /// What it is, for the page.
    what: &'static str,
    /// Its table in the configuration, without the type.
    settings: String,
    /// Whether its place must be made before, and removed after.
    has_place: bool,
}

/// A report, in the shape that `cloudbank conformance` promises.
#[derive(Deserialize)]
struct Report {
    cases: Vec<Case>,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    problems: Vec<String>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    outcome: String,
    detail: String,
}

/// Runs `cargo xtask matrix`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let services = Services::start(&Service::ALL)?;
    let mut build = workspace::cargo();
    // The page holds no times, so the build that tests use will do.
    build.args(["build", "--quiet", "--package", "cloudbank"]);
    if !run_to_end(build)?.success() {
        bail!("cloudbank does not build");
    }
    let target = workspace::metadata()?.target_directory;
    let folder = target.join("matrix");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let url = |service: Service| -> Result<&str> {
        let mut variables = services.variables();
        let found = variables.find(|(name, _)| *name == service.variable());
        Ok(found.with_context(|| format!("{} is not there", service.name()))?.1)
    };
    let entries = entries(&folder, &url)?;
    let config = folder.join("cloudbank.toml");
    let tables: Vec<_> = entries
        .iter()
        .map(|entry| format!("[providers.{}]\n{}\n", entry.name, entry.settings))
        .collect();
    fs::write(&config, tables.join("\n"))?;

    let cloudbank = Cloudbank { program: target.join("debug/cloudbank"), config, folder };
    let mut page = Page::default();
    for entry in &entries {
        eprintln!("matrix: {}", entry.name);
        page.add(entry, &cloudbank.measure(entry, &arguments.level)?)?;
    }
    drop(services);

    let path = workspace::root().join(PAGE);
    let text = page.finish(&arguments.level);
    if !arguments.check {
        fs::write(&path, text).with_context(|| format!("write {PAGE}"))?;
        eprintln!("matrix: wrote {PAGE}");
        return Ok(());
    }
    let written = fs::read_to_string(&path).with_context(|| format!("read {PAGE}"))?;
    let differs = written.lines().zip(text.lines()).find(|(written, now)| written != now);
    match differs {
        Some((written, now)) => bail!("{PAGE} says:\n  {written}\nbut it is:\n  {now}"),
        None if written != text => bail!("{PAGE} has lines too many or too few"),
        None => Ok(()),
    }
}

fn entries<'a>(folder: &Path, url: &impl Fn(Service) -> Result<&'a str>) -> Result<Vec<Entry>> {
    let s3 = |service: Service, more: &str| -> Result<String> {
        Ok(format!(
            "type = \"s3\"\nbucket = \"cloudbank-matrix\"\nregion = \"us-east-1\"\n\
             endpoint = \"{}\"\nallow_http = true\naccess_key_id = \"{ACCESS_KEY}\"\n\
             secret_access_key = \"{SECRET_KEY}\"\n{more}",
            url(service)?
        ))
    };
    let path = folder.join("data");
    Ok(vec![
        Entry {
            name: "memory",
            what: "objects in memory",
            settings: "type = \"memory\"".into(),
            has_place: false,
        },
        Entry {
            name: "fs",
            what: "files in a folder, synced",
            settings: format!(
                "type = \"fs\"\npath = {:?}\ncreate = true",
                path.display().to_string()
            ),
            has_place: false,
        },
        Entry {
            name: "seaweedfs",
            what: "the S3 backend on SeaweedFS 4.48",
            settings: s3(Service::Seaweedfs, "")?,
            has_place: true,
        },
        Entry {
            name: "moto",
            what: "the S3 backend on moto 5.2.5, which is made to take one request at a time",
            settings: s3(Service::Moto, "")?,
            has_place: true,
        },
        Entry {
            name: "azurite",
            what: "the Azure backend on Azurite 3.35.0",
            settings: format!(
                "type = \"azure\"\naccount = \"devstoreaccount1\"\ncontainer = \"cloudbank-matrix\"\n\
                 account_key = \"{EMULATOR_KEY}\"\nemulator = true\nendpoint = \"{}\"\n\
                 allow_http = true\n",
                url(Service::Azurite)?
            ),
            has_place: true,
        },
        Entry {
            name: "rclone",
            what: "the S3 backend on rclone 1.75.2, told that conditions are not supported",
            settings: s3(Service::Rclone, "conditional_put = \"unsupported\"\n")?,
            has_place: true,
        },
        Entry {
            name: "rclone-trusted",
            what: "the same, told to believe that they are, and not to probe",
            settings: s3(Service::Rclone, "probe = \"off\"\n")?.replace("-matrix", "-trusted"),
            has_place: true,
        },
    ])
}

/// The command, with the configuration of the matrix.
struct Cloudbank {
    program: PathBuf,
    config: PathBuf,
    folder: PathBuf,
}

/// What came of one provider.
struct Measured {
    report: Report,
    /// What it declares, in the order of [`DECLARED`].
    declared: Vec<String>,
}

impl Cloudbank {
    fn measure(&self, entry: &Entry, level: &str) -> Result<Measured> {
        let file = |suffix| self.folder.join(format!("{}.{suffix}", entry.name));
        let (json, markdown) = (file("json"), file("md"));
        if entry.has_place && !self.run(entry, &["provider", "create"])? {
            bail!("{}: its place could not be made", entry.name);
        }
        let reports = format!("json={},markdown={}", json.display(), markdown.display());
        // Whether it passed is in the report.
        self.run(entry, &["conformance", "--level", level, "--quiet", "--report", &reports])?;
        // A server that keeps deleted objects keeps its place; it ends with its data all the same.
        if entry.has_place && !self.run(entry, &["provider", "destroy", "--yes"])? {
            eprintln!("matrix: {}: its place could not be removed", entry.name);
        }
        let text = fs::read(&json).with_context(|| format!("{}: no report", entry.name))?;
        let report =
            serde_json::from_slice(&text).with_context(|| format!("{}", json.display()))?;
        let declared = declared(&fs::read_to_string(&markdown)?)
            .with_context(|| format!("{}: no table row", markdown.display()))?;
        Ok(Measured { report, declared })
    }

    fn run(&self, entry: &Entry, arguments: &[&str]) -> Result<bool> {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--provider", entry.name, "--config"]).arg(&self.config);
        command.current_dir(&self.folder);
        Ok(run_to_end(command)?.success())
    }
}

/// The cells of a Markdown table with one row that say what is declared.
fn declared(markdown: &str) -> Option<Vec<String>> {
    let mut rows = markdown.lines().filter(|line| line.starts_with('|')).map(cells);
    let (header, _rule, row) = (rows.next()?, rows.next()?, rows.next()?);
    let column = |name: &&str| header.iter().position(|cell| cell == name);
    DECLARED.iter().map(|name| row.get(column(name)?).cloned()).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The page as it grows.
#[derive(Default)]
struct Page {
    rows: String,
    sections: String,
}

impl Page {
    fn add(&mut self, entry: &Entry, measured: &Measured) -> Result<()> {
        let Measured { report, declared } = measured;
        let count = |outcomes: &[&str]| {
            report.cases.iter().filter(|case| outcomes.contains(&&*case.outcome)).count()
        };
        let (name, declared) = (entry.name, declared.join(" | "));
        let (passed, skipped) = (count(&["pass"]), count(&["skipped"]));
        let failed = count(&["fail", "over_claim"]) + report.summary.problems.len();
        writeln!(
            self.rows,
            "| [{name}](#{name}) | {declared} | {passed} | {failed} | {skipped} |"
        )?;

        writeln!(self.sections, "\n## {name}\n\nThis is {}.\n", entry.what)?;
        for (outcome, says) in [
            ("fail", "fails"),
            ("over_claim", "is declared and does not hold"),
            ("under_claim", "holds and is not declared"),
            ("known_issue", "fails, as is known"),
            ("unexpected_pass", "was thought to fail"),
        ] {
            for case in report.cases.iter().filter(|case| case.outcome == outcome) {
                writeln!(self.sections, "- `{}` {says}", case.id)?;
            }
        }
        for case in report.cases.iter().filter(|case| case.outcome == "skipped") {
            writeln!(self.sections, "- `{}` was not tried: {}", case.id, case.detail)?;
        }
        for problem in &report.summary.problems {
            writeln!(self.sections, "- {problem}")?;
        }
        Ok(())
    }

    fn finish(self, levels: &str) -> String {
        let Self { rows, sections } = self;
        let heads = DECLARED.join(" | ");
        let rules = "---|".repeat(DECLARED.len());
        format!(
            "# The provider matrix\n\n<!-- Made by `cargo xtask matrix`; do not edit. -->\n\n\
             What each provider declares, and what the conformance suite found of it, with `--level {levels}`. \
             A case\nthat could not be tried says why below. The last one shows what the suite says of \
             a server that accepts conditions\nand ignores them.\n\n\
             | provider | {heads} | passed | failed | skipped |\n|---|{rules}--:|--:|--:|\n{rows}{sections}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_found_by_its_heading() {
        let table = "\
| provider | absent | matches | lists | durability | versions | sharing | put |
|---|---|---|---|---|---|---|--:|
| memory | one | two | three | four | five | six | 1 ms |
";
        assert_eq!(declared(table).unwrap(), ["one", "two", "three", "four", "five", "six"]);
        assert_eq!(declared("| provider |\n|---|\n| x |\n"), None);
    }

    #[test]
    fn the_page_counts_outcomes_and_names_all_but_the_passes() {
        let case = |id: &str, outcome: &str, detail: &str| Case {
            id: id.into(),
            outcome: outcome.into(),
            detail: detail.into(),
        };
        let cases = vec![
            case("a", "pass", ""),
            case("b", "over_claim", "50 winners"),
            case("c", "skipped", "no hook"),
        ];
        let report = Report { cases, summary: Summary { problems: vec!["left behind".into()] } };
        let declared = DECLARED.map(str::to_uppercase).to_vec();
        let entry = Entry { name: "x", what: "a liar", settings: String::new(), has_place: false };
        let mut page = Page::default();
        page.add(&entry, &Measured { report, declared }).unwrap();
        let text = page.finish("all");
        for line in [
            "| [x](#x) | ABSENT | MATCHES | LISTS | DURABILITY | VERSIONS | SHARING | 1 | 2 | 1 |",
            "- `b` is declared and does not hold",
            "- `c` was not tried: no hook",
            "- left behind",
        ] {
            assert!(text.lines().any(|said| said == line), "no {line:?} in:\n{text}");
        }
    }
}
