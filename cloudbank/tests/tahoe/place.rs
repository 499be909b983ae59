//! The servers of all cases, and what a case is told of them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::grid::Grid;
use crate::program;

/// What a case is told, as variables.
pub(crate) type Told = Vec<(&'static str, String)>;

/// What the cases of a script need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A client with servers on every kind of provider.
    Grid,
    /// One server, for all such cases.
    Wire,
    /// A server of its own, whose clock it can move.
    Clock,
    /// A server of its own, which waits for nobody for long.
    Impatient,
    /// The command that starts a server, for grids of its own.
    Command,
}

/// The servers, started when they are first needed.
pub(crate) struct Place {
    python: Option<PathBuf>,
    folder: TempDir,
    grid: Mutex<Option<Grid>>,
    wire: Mutex<Option<Grid>>,
    /// Those that cases have for themselves.
    own: Mutex<Vec<Grid>>,
}

/// Kinds of providers: a name, its configuration, and the variable that has its endpoint, if it is not on this machine.
const PROVIDERS: [(&str, &str, Option<&str>); 5] = [
    ("memory", "type = \"memory\"\n", None),
    (
        "folder",
        "type = \"fs\"\npath = \"{folder}/data\"\ncreate = true\ndurability = \"process-crash\"\n",
        None,
    ),
    (
        "s3",
        "type = \"s3\"\nendpoint = \"{endpoint}\"\nallow_http = true\nbucket = \"{bucket}\"\naccess_key_id = \"cloudbank\"\n\
         secret_access_key = \"cloudbank-secret\"\nprobe = \"off\"\nrequest_timeout = \"2m\"\n",
        Some("CLOUDBANK_TEST_SEAWEEDFS"),
    ),
    (
        "azure",
        "type = \"azure\"\nendpoint = \"{endpoint}\"\nemulator = true\ncontainer = \"{bucket}\"\nprobe = \"off\"\nrequest_timeout = \"2m\"\n",
        Some("CLOUDBANK_TEST_AZURITE"),
    ),
    (
        "erasure",
        "type = \"erasure\"\ndata = 2\nparity = 1\nmembers = [\"a\", \"b\", \"c\"]\n\
         [providers.a]\ntype = \"fs\"\npath = \"{folder}/a\"\ncreate = true\ndurability = \"process-crash\"\n\
         [providers.b]\ntype = \"fs\"\npath = \"{folder}/b\"\ncreate = true\ndurability = \"process-crash\"\n\
         [providers.c]\ntype = \"fs\"\npath = \"{folder}/c\"\ncreate = true\ndurability = \"process-crash\"\n\
         [providers.log]\ntype = \"fs\"\npath = \"{folder}/log\"\ncreate = true\ndurability = \"process-crash\"\n",
        None,
    ),
];

/// A server whose clients must be quick.
const IMPATIENT: &str = "[providers.local]\ntype = \"fs\"\npath = \"data\"\ncreate = true\ndurability = \"process-crash\"\n\
     [server]\nheader_time_max = \"2s\"\nstall_time_max = \"2s\"\n";

impl Place {
    pub(crate) fn new(python: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            python,
            folder,
            grid: Mutex::default(),
            wire: Mutex::default(),
            own: Mutex::default(),
        }
    }

    /// Where everything is, for a case that needs this.
    pub(crate) fn told(&self, needs: Needs) -> Told {
        let mut told = vec![
            ("TAHOE_SERVER", json!(self.command(&[])).to_string()),
            ("TAHOE_CLOUDBANK", env!("CARGO_BIN_EXE_cloudbank").to_owned()),
        ];
        told.push(("TAHOE_CLOUDS", clouds()));
        told.push(match program::find("ANNOUNCE") {
            Ok(path) => ("TAHOE_ANNOUNCE", path.display().to_string()),
            Err(why) => ("TAHOE_ANNOUNCE_MISSING", why),
        });
        if is_stock() {
            told.push(("TAHOE_STOCK", "1".to_owned()));
        }
        match needs {
            Needs::Command => {}
            Needs::Grid => {
                let mut grid = self.grid.lock().unwrap_or_else(PoisonError::into_inner);
                let grid = grid.get_or_insert_with(|| self.start_grid());
                told.push(("TAHOE_GRID", grid.told.to_string()));
            }
            Needs::Wire => {
                let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
                told.extend(told_of(wire.get_or_insert_with(|| self.start_wire("wire"))));
            }
            Needs::Clock | Needs::Impatient => {
                let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                let name = format!("own-{}", own.len());
                let server = match needs {
                    Needs::Impatient => self.start_impatient(&name),
                    _ => self.start_wire(&name),
                };
                told.extend(told_of(&server));
                own.push(server);
            }
        }
        told
    }

    /// Ends everything; what went wrong with it.
    pub(crate) fn close(&self) -> Vec<String> {
        let take = |grid: &Mutex<Option<Grid>>| {
            grid.lock().unwrap_or_else(PoisonError::into_inner).take().and_then(Grid::stop)
        };
        let own = std::mem::take(&mut *self.own.lock().unwrap_or_else(PoisonError::into_inner));
        let problems = [&self.grid, &self.wire].into_iter().filter_map(take);
        problems.chain(own.into_iter().filter_map(Grid::stop)).collect()
    }

    /// What starts a server in the folder `{dir}`.
    fn command(&self, arguments: &[&str]) -> Vec<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tahoe/stock.py");
        let python = self.python.clone().unwrap_or_default();
        let mut command = match is_stock() {
            true => vec![python.display().to_string(), script.display().to_string()],
            false => {
                [env!("CARGO_BIN_EXE_cloudbank"), "serve", "tahoe"].map(str::to_owned).to_vec()
            }
        };
        command.extend(["--dir", "{dir}", "--port", "0"].map(str::to_owned));
        if !is_stock() {
            command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        }
        command
    }

    fn start_grid(&self) -> Grid {
        let mut servers = Vec::new();
        for (name, config, variable) in PROVIDERS {
            let endpoint = match variable.map(std::env::var) {
                None => String::new(),
                Some(Ok(endpoint)) => endpoint,
                Some(Err(_)) => continue,
            };
            let folder = self.folder.path().join("grid").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            // Races for the next place of a log are not for arrays.
            let store = match name {
                "erasure" => "log = \"log\"\nobjects = \"erasure\"".to_owned(),
                _ => format!("provider = \"{name}\""),
            };
            let config = format!("[store]\n{store}\n[providers.{name}]\n{config}")
                .replace("{endpoint}", &endpoint)
                .replace("{folder}", &folder.display().to_string())
                .replace("{bucket}", &format!("tahoe-{}", std::process::id()));
            let path = folder.join("cloudbank.toml");
            std::fs::write(&path, config).unwrap();
            let path = path.display().to_string();
            if variable.is_some() && !is_stock() {
                let mut make = std::process::Command::new(env!("CARGO_BIN_EXE_cloudbank"));
                make.args(["--config", &path, "provider", "create", "-p", name]);
                assert!(make.status().unwrap().success(), "{name}: the bucket cannot be made");
            }
            let command = self.command(&["--config", &path]);
            servers.push(json!({ "name": name, "command": command }));
        }
        let count = servers.len();
        self.start("grid", json!({ "servers": servers, "encoding": [2, count, count] }))
    }

    fn start_wire(&self, name: &str) -> Grid {
        let command = self.command(&["--control-port", "{control}"]);
        self.start(name, json!({ "servers": [{ "name": "wire", "command": command }] }))
    }

    fn start_impatient(&self, name: &str) -> Grid {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("cloudbank.toml");
        std::fs::write(&path, IMPATIENT).unwrap();
        let command = self.command(&["--config", &path.display().to_string()]);
        self.start(name, json!({ "servers": [{ "name": "wire", "command": command }] }))
    }

    fn start(&self, name: &str, mut specification: Value) -> Grid {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        specification["folder"] = json!(folder);
        let python = self.python.as_ref().expect("a case that has no client is not run");
        Grid::start(python, &folder, &specification)
    }
}

/// Where the only server of a grid is.
fn told_of(wire: &Grid) -> Told {
    let server = &wire.told["servers"]["wire"];
    let mut told = vec![("TAHOE_NURL", server["nurl"].as_str().unwrap().to_owned())];
    told.push(("TAHOE_PID", server["pid"].to_string()));
    if let Some(control) = server["control"].as_str() {
        told.push(("TAHOE_CONTROL", control.to_owned()));
    }
    told
}

/// A configuration with the three providers of `docs/tahoe.md`: servers where they are known, else folders.
fn clouds() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let bucket = format!("clouds-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let of = |name: &str, kind: &str| {
        let (_, config, variable) = PROVIDERS.iter().find(|(known, ..)| *known == kind)?;
        let endpoint = std::env::var((*variable)?).ok()?;
        let config = config.replace("{endpoint}", &endpoint).replace("{bucket}", &bucket);
        Some(format!("[providers.{name}]\n{config}"))
    };
    let folder = |name: &str| {
        format!(
            "[providers.{name}]\ntype = \"fs\"\npath = \"{name}-data\"\ncreate = true\ndurability = \"process-crash\"\n"
        )
    };
    let aws = of("aws", "s3").unwrap_or_else(|| folder("aws"));
    let azure = of("azure", "azure").unwrap_or_else(|| folder("azure"));
    [folder("home"), aws, azure].concat()
}

/// Whether the stock server is tried instead of ours.
fn is_stock() -> bool {
    std::env::var_os("CLOUDBANK_TEST_TAHOE_STOCK").is_some()
}
