//! The command `cloudbank`.

fn main() -> std::process::ExitCode {
    cloudbank::main_with(cloudbank::Registry::standard())
}
