//! `array rotate`: encrypts everything with the first key.

use serde_json::json;
use storage_array::Rotated;
use storage_core::Prefix;

use super::{BAR, Chosen};
use crate::arrays::Array;
use crate::cli::WhichArrays;
use crate::error::{Code, Error, Result};
use crate::output::{count, grouped};
use crate::run::Context;

pub(super) async fn run(context: &Context, which: &WhichArrays) -> Result<()> {
    let chosen = Chosen::find(context, which, &["encrypt"], "encrypt anew")?;
    let mut failed = false;
    for name in &chosen.names {
        let Array::Encrypt(encrypt) = chosen.open(name, false).await? else { continue };
        let bar = context.output.progress(None, BAR);
        let mut tell = |so_far: &Rotated| {
            bar.set_position(so_far.objects);
            bar.set_message(format!("{} encrypted anew", grouped(so_far.rotated)));
            !context.is_interrupted()
        };
        let rotated = encrypt.rotate(&Prefix::all(), &mut tell).await;
        bar.finish_and_clear();
        let rotated = match rotated {
            Ok(rotated) => rotated,
            Err(error) => return Err(chosen.provider(name)?.explain(error)),
        };
        for (key, why) in &rotated.failed {
            context.output.note(format_args!("{}{key}: {why}", chosen.title(name)));
        }
        if context.is_interrupted() {
            return Err(Error::Interrupted(
                "what was encrypted anew stays so; run the same command again to go on".into(),
            ));
        }
        failed |= rotated.failures > 0;
        let what = if rotated.failures == 0 {
            "the older keys can go".to_owned()
        } else {
            format!("{} failed, so keep all keys", grouped(rotated.failures))
        };
        context.output.done(
            format_args!(
                "{}{} of {} encrypted anew: {what}",
                chosen.title(name),
                grouped(rotated.rotated),
                count(rotated.objects, "object")
            ),
            &json!({
                "array": name,
                "objects": rotated.objects,
                "rotated": rotated.rotated,
                "failures": rotated.failures,
            }),
        )?;
    }
    if failed { Err(Error::Reported(Code::Failed)) } else { Ok(()) }
}
