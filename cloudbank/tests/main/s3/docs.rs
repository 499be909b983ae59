//! The examples of the documentation, which must run.

use super::Service;

const PAGE: &str = include_str!("../../../../docs/s3-commands.md");

#[test]
fn the_examples_of_the_page_run_from_the_first_to_the_last() {
    let service = Service::start();
    for (name, text) in
        [("letter.txt", "dear all"), ("photos/a.jpg", "a"), ("photos/sub/b.jpg", "b")]
    {
        let path = service.bench.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut run = 0;
    for block in PAGE.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines() {
            let Some(line) = line.strip_prefix("$ ") else { continue };
            let line = line.split("  #").next().unwrap();
            // As a shell does it, with the command that was built.
            let binary = env!("CARGO_BIN_EXE_cloudbank");
            let script = line.replace("cloudbank s3", &format!("{binary} s3"));
            let command = service.bench.command(&["unused"]);
            let envs: Vec<_> =
                command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
            let mut shell = std::process::Command::new("sh");
            shell.arg("-ec").arg(&script).current_dir(service.bench.path("."));
            for (name, value) in envs {
                match value {
                    Some(value) => shell.env(name, value),
                    None => shell.env_remove(name),
                };
            }
            let output = shell.stdin(std::process::Stdio::null()).output().unwrap();
            assert!(output.status.success(), "{line}: {}", service.bench.shown(&output));
            run += 1;
        }
    }
    assert!(run > 15, "only {run} examples were found");
}
