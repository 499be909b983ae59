//! Mistakes put in on purpose, to see that the simulation finds them: there only in builds with debug assertions.

/// Whether mistakes are built in: with debug assertions, as tests are. What is released has none.
pub const IS_BUILT_IN: bool = cfg!(debug_assertions);

/// Whether the mistake with this name is switched on, on this thread. Never, without debug assertions.
#[cfg(not(debug_assertions))]
#[must_use]
#[inline(always)]
pub const fn planted(_: &str) -> bool {
    false
}

#[cfg(debug_assertions)]
thread_local! {
    static ON: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Whether the mistake with this name is switched on, on this thread.
#[cfg(debug_assertions)]
#[must_use]
pub fn planted(name: &str) -> bool {
    ON.get() == name
}

/// Switches this mistake on, on this thread, and any other off. Does nothing without debug assertions.
pub fn plant(name: &'static str) {
    #[cfg(debug_assertions)]
    ON.set(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}
