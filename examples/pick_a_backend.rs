//! How does my program leave it to a configuration file where objects are kept?

use anyhow::{Result, ensure};
use cloudbank::{Config, Registry, Source};
use storage_core::{Get, Key, PutIf, StorageProvider};

const CONFIG: &str = r#"
[providers.fast]
type = "memory"

[providers.kept]
type = "fs"
path = "${FOLDER}"
create = true
"#;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("cloudbank-example-{}", std::process::id()));
    // A program would take `cloudbank::Config::load`, which looks where the command line looks.
    let source = Source::file("cloudbank.toml".as_ref(), CONFIG.into());
    let path = folder.clone().into_os_string();
    let variables = move |name: &str| (name == "FOLDER").then(|| path.clone());
    let config = Config::read(&Registry::standard(), source, &variables)?;

    for name in ["fast", "kept"] {
        let provider = config.provider(Some(name))?.open().await?;
        let key = Key::new("greeting")?;
        provider.put(&key, "hello".into(), PutIf::Absent).await?;
        let object = provider.get(&key, Get::whole()).await?;
        ensure!(object.body == "hello");
        println!("{name}: {}", provider.info().name);
    }

    // A mistake is answered with the place, what was expected, and what was meant.
    let source = Source::file("cloudbank.toml".as_ref(), CONFIG.replace("create", "creat"));
    let mistaken = Config::read(&Registry::standard(), source, &variables)?;
    ensure!(mistaken.problems().errors() == 1 && mistaken.provider(Some("kept")).is_err());
    println!("{}", mistaken.problems());
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
