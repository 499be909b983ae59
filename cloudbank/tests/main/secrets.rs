//! Secrets stay secret: whatever goes wrong, a canary never shows in any output.

use crate::support::Bench;

const CANARY: &str = "canary-in-the-coal-mine";

/// Every command that reads a configuration, in every manner of speaking.
const LINES: [&str; 9] = [
    "config show",
    "config show --json",
    "config check",
    "config check --json",
    "config check --connect",
    "config check --connect --json",
    "provider ls -vv",
    "provider ls -vv --json",
    "provider stat a -vv -p x",
];

fn check(bench: &Bench) {
    for line in LINES {
        let output = bench.feed(line, b"");
        let said = bench.shown(&output);
        assert!(!said.contains(CANARY), "{line} told the secret:\n{said}");
        assert!(!said.is_empty() || output.status.success(), "{line} said nothing");
    }
}

#[test]
fn a_secret_is_never_shown_however_wrong_its_line_is() {
    for line in [
        "secret_acess_key = \"CANARY\"",
        "account_kee = \"CANARY\"",
        "sas = \"CANARY\"",
        "pasword = \"CANARY\"",
        "\"api_token\" = 'CANARY'",
        "secret_access_key = [\"CANARY\"]",
        "secret_access_key = { value = \"CANARY\" }",
        "secret_access_key = CANARY",
        "secret_access_key = \"CANARY",
        "secret_access_key = \"CANARY\" \"",
        "secret_access_key = \"\"\"\nCANARY",
        "secret_access_key = \"\"\"\nCANARY\\q\"\"\"",
        "secret_access_key = \"CANARY\"\nsecret_access_key = \"CANARY\"",
        "secret_access_key = \"CANARY ${NOT_SET_AT_ALL}\"",
        "x = { secret_access_key = \"CANARY\", y }",
    ] {
        let line = line.replace("CANARY", CANARY);
        for kind in ["fs", "memory", "s3", "azure", "nonsense"] {
            check(&Bench::with_config(&format!("[providers.x]\ntype = \"{kind}\"\n{line}\n")));
        }
    }
}

#[test]
fn a_secret_outside_any_provider_is_not_shown_either() {
    let line = format!("secret_key = \"{CANARY}\"\n");
    check(&Bench::with_config(&line));
    check(&Bench::with_config(&format!("[s3]\n[[s3.keys]]\n{line}")));
    check(&Bench::with_config(&format!("[stor]\n{line}")));
    check(&Bench::with_config(&format!("[store]\n{line}")));
    check(&Bench::with_config(&format!("providers = \"{CANARY}\"")));
}
