//! Who writes, when nobody says: the user and the machine.

/// `user@host`.
pub(super) fn author(asked_for: Option<&str>) -> String {
    match asked_for {
        Some(author) => author.into(),
        None => format!("{}@{}", user(), host()),
    }
}

fn user() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.trim().is_empty());
    named.unwrap_or_else(nameless)
}

#[cfg(unix)]
fn nameless() -> String {
    format!("uid-{}", rustix::process::getuid().as_raw())
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn nameless() -> String {
    "somebody".into()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "somewhere".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_has_two_parts_unless_somebody_said_otherwise() {
        let found = author(None);
        let (user, host) = found.split_once('@').unwrap();
        assert!(!user.is_empty() && !host.is_empty(), "{found}");
        assert_eq!(author(Some("deploy")), "deploy");
    }
}
