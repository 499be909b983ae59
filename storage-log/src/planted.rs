//! Mistakes put in on purpose, to see that the simulation finds them: there only with `--cfg planted`.

/// Whether the mistake with this name is switched on, on this thread. Never, without `--cfg planted`.
#[cfg(not(planted))]
#[must_use]
#[inline(always)]
pub const fn planted(_: &str) -> bool {
    false
}

#[cfg(planted)]
thread_local! {
    static ON: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Whether the mistake with this name is switched on, on this thread.
#[cfg(planted)]
#[must_use]
pub fn planted(name: &str) -> bool {
    ON.get() == name
}

/// Switches this mistake on, on this thread, and any other off.
#[cfg(planted)]
pub fn plant(name: &'static str) {
    ON.set(name);
}
