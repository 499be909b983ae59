//! Panics of the code under test: caught, kept, and not printed a thousand times.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// While this thread runs a scenario: where the last panic was and what it said.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `work` answers, or where it panicked and with what words.
///
/// What the panic leaves half done must be dropped or only read.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    // A failure is looked for and made simpler in thousands of runs. Their panics would hide what the
    // last one says, which the driver tells in full.
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !keep(info) {
                before(info);
            }
        }));
    });
    let outer = CAUGHT.replace(Some(String::new()));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let said = CAUGHT.replace(outer).unwrap_or_default();
    outcome.map_err(|_| said)
}

/// Keeps what a panic says, if it is one of a scenario's.
fn keep(info: &PanicHookInfo<'_>) -> bool {
    CAUGHT.with_borrow_mut(|caught| {
        let Some(caught) = caught else { return false };
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let words = text.or_else(|| payload.downcast_ref().copied()).unwrap_or("without words");
        *caught = match info.location() {
            Some(place) => format!("{words} ({}:{})", place.file(), place.line()),
            None => words.to_owned(),
        };
        true
    })
}
