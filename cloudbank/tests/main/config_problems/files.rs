//! Which file is read, and what commands say of the problems in it.

use expect_test::expect;

use crate::support::Bench;

#[test]
fn a_configuration_file_that_cannot_be_read_is_explained() {
    let bench = Bench::empty();
    bench.write("latin1.toml", b"# caf\xe9\n");
    let said = bench.session(
        "provider ls --config missing.toml
         provider ls --config .
         provider ls --config latin1.toml",
    );
    expect![[r#"
        $ provider ls --config missing.toml
        ! error: the configuration file missing.toml does not exist
        !   = named by --config
        !   = `cloudbank config init --config missing.toml` writes one to start from
        [2]
        $ provider ls --config .
        ! error: the configuration file . is a folder
        !   = named by --config
        !   = name the file: ./cloudbank.toml
        [2]
        $ provider ls --config latin1.toml
        ! error: the configuration file latin1.toml is not UTF-8 text
        !   = named by --config
        !   = save it as UTF-8
        [2]
    "#]]
    .assert_eq(&said);
}

#[test]
fn the_file_named_in_the_environment_must_be_there() {
    let bench = Bench::empty().variable("CLOUDBANK_CONFIG", "elsewhere.toml");
    expect![[r#"
        $ provider ls
        ! error: the configuration file elsewhere.toml does not exist
        !   = named by CLOUDBANK_CONFIG
        !   = `cloudbank config init --config elsewhere.toml` writes one to start from
        [2]
    "#]]
    .assert_eq(&bench.session("provider ls"));
}

#[test]
fn files_are_looked_for_in_the_order_documented() {
    let bench = Bench::empty().variable("XDG_CONFIG_HOME", "user");
    let show = |bench: &Bench| bench.ok("config show").lines().next().unwrap().to_owned();
    assert_eq!(show(&bench), "# the built-in configuration");
    std::fs::create_dir_all(bench.path("user/cloudbank")).unwrap();
    bench.write("user/cloudbank/cloudbank.toml", "");
    assert_eq!(show(&bench), "# user/cloudbank/cloudbank.toml");
    bench.write("cloudbank.toml", "");
    assert_eq!(show(&bench), "# cloudbank.toml");
    bench.write("named.toml", "");
    let bench = bench.variable("CLOUDBANK_CONFIG", "named.toml");
    assert_eq!(show(&bench), "# named.toml");
    bench.write("asked.toml", "");
    let asked = bench.ok("config show --config asked.toml");
    assert_eq!(asked, "# asked.toml\n");
}

#[test]
fn a_problem_in_one_provider_does_not_keep_the_others_from_use() {
    let bench = Bench::with_config(
        "[providers.good]\ntype = \"memory\"\n[providers.bad]\ntype = \"fs\"\npath = \"${NOT_SET_AT_ALL}\"\n",
    );
    expect![[r#"
        $ provider ls --provider good
        $ provider ls --provider bad
        ! error: `path`: the environment variable NOT_SET_AT_ALL is not set
        !  --> cloudbank.toml:5:8
        !   |
        ! 5 | path = "${NOT_SET_AT_ALL}"
        !   |        ^^^^^^^^^^^^^^^^^^^
        !   = set it: export NOT_SET_AT_ALL=...
        [2]
        $ provider ls --provider godo
        ! error: there is no provider `godo` in cloudbank.toml
        !   = expected bad or good
        !   = did you mean `good`?
        [2]
        $ provider ls
        ! error: which provider? cloudbank.toml has several
        !   = add --provider with bad or good
        [2]
    "#]]
    .assert_eq(&bench.session(
        "provider ls --provider good
         provider ls --provider bad
         provider ls --provider godo
         provider ls",
    ));
}

#[test]
fn a_folder_that_is_not_there_is_reported_with_provider_setting_and_line() {
    let bench = Bench::with_config("\n[providers.local]\ntype = \"fs\"\npath = \"gone\"\n");
    expect![[r#"
        $ provider ls
        ! error: provider `local`, setting `path`: misconfigured: there is no folder "$DIR/gone": create it first, or set `create = true` (setting `path`)
        !  --> cloudbank.toml:4:1
        !   |
        ! 4 | path = "gone"
        !   | ^^^^
        [2]
        $ config check --connect
        error: provider `local`, setting `path`: misconfigured: there is no folder "$DIR/gone": create it first, or set `create = true` (setting `path`)
         --> cloudbank.toml:4:1
          |
        4 | path = "gone"
          | ^^^^

        provider  type  state
        local     fs    cannot be used, see above
        cloudbank.toml: 1 provider cannot be used
        [2]
        $ config check --connect --json
        {"file":"cloudbank.toml","problems":[],"providers":[{"error":{"code":2,"error":"usage","key":null,"kind":"misconfigured","message":"provider `local`: misconfigured: there is no folder \"$DIR/gone\": create it first, or set `create = true` (setting `path`)","problems":[{"column":1,"expected":null,"file":"cloudbank.toml","help":null,"line":4,"message":"provider `local`, setting `path`: misconfigured: there is no folder \"$DIR/gone\": create it first, or set `create = true` (setting `path`)","severity":"error"}],"provider":"local"},"name":"local","opened":false,"type":"fs","valid":true}]}
        [2]
    "#]].assert_eq(
        &bench.session("provider ls\nconfig check --connect\nconfig check --connect --json"),
    );
}

#[test]
fn problems_come_as_data_when_asked_for() {
    let bench = Bench::with_config("[providers.local]\ntype = \"memory\"\nversons = 1\n");
    expect![[r#"
        $ config check --json
        {"file":"cloudbank.toml","problems":[{"column":1,"expected":"one of concurrency_max, object_bytes_max, prices, retries_max, timeout, type, versions","file":"cloudbank.toml","help":"did you mean `versions`?","line":3,"message":"a provider of type `memory` has no setting `versons`","severity":"error"}],"providers":[{"error":null,"name":"local","opened":null,"type":"memory","valid":false}]}
        [2]
        $ provider ls --json
        ! {"code":2,"error":"usage","message":"1 problem in the configuration","problems":[{"column":1,"expected":"one of concurrency_max, object_bytes_max, prices, retries_max, timeout, type, versions","file":"cloudbank.toml","help":"did you mean `versions`?","line":3,"message":"a provider of type `memory` has no setting `versons`","severity":"error"}]}
        [2]
    "#]].assert_eq(&bench.session("config check --json\nprovider ls --json"));
}
