//! A request and what becomes of it: events of the world, which no crash of the sender calls back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use storage_core::{Effect, Error, ErrorKind, Operation, Result};

use crate::objects::{Answer, Call, View};
use crate::steps::Touched;
use crate::world::{State, What, Who, World};
use crate::{About, Fault, Order};

/// When a sender gives up, in microseconds.
const TIMEOUT_MICROS: u64 = 5_000_000;
/// How late a late request is at most, after its sender gave up: the square of a lot below this, in
/// twentieths of a millisecond, is 20 s.
const LATE_LOTS: u32 = 633;
/// Of how many changes a stale list may be behind.
const STALE_CHANGES_MAX: u64 = 64;
/// The same in a search, where each is a decision of its own.
const STALE_CHANGES_SEARCHED_MAX: u64 = 3;
/// How long an outage lasts: one of these, in seconds.
const OUTAGE_SECONDS: [u64; 4] = [10, 1, 60, 600];

pub(crate) struct Request {
    number: u64,
    pub(crate) node: u32,
    place: u32,
    call: Call,
    fault: Option<Fault>,
    reply: Option<Result<Answer>>,
    /// Whether the reply has reached the sender.
    arrived: bool,
    waker: Option<Waker>,
    /// How many of sender and events still refer to this.
    parties: u8,
}

/// What a sender holds.
pub(crate) struct Pending {
    world: Arc<World>,
    request: usize,
}

impl Pending {
    /// Sends a request. From here on it is the world's.
    pub(crate) fn send(world: &Arc<World>, node: u32, place: u32, call: Call) -> Self {
        let request = world.state().send(node, place, call);
        Self { world: world.clone(), request }
    }
}

impl Future for Pending {
    type Output = Result<Answer>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.world.state();
        let request = &mut state.requests[self.request];
        if request.arrived {
            return Poll::Ready(request.reply.take().expect("polled once after it was ready"));
        }
        match &mut request.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Pending {
    /// The sender no longer wants the answer. What is under way goes on.
    fn drop(&mut self) {
        let mut state = self.world.state();
        state.requests[self.request].waker = None;
        state.release(self.request);
    }
}

impl State {
    fn send(&mut self, node: u32, place: u32, call: Call) -> usize {
        let operation = call.operation();
        let number = self.sent;
        self.sent += 1;
        self.note_call(node, &call);
        let mut fault = None;
        if !self.is_safe(node) {
            self.exposed.push((number, operation));
            fault = self.faults.draw(&mut self.tape, number, operation);
        }
        if fault == Some(Fault::ListStale) && self.places[place as usize].changes == 0 {
            // It matters here already what others have changed.
            self.touches(Touched::everything);
            fault = None;
        }
        if let Some(fault) = fault {
            self.tally.faults.count(operation, fault);
            if fault == Fault::Outage {
                self.begin_outage(node, place);
            }
        }
        let fate = if self.is_cut(node, place) { Some(Fault::RequestLost) } else { fault };
        let about = About::Sent { request: number, faulty: fate.is_some() };
        self.tell(Who::Node(node), about, |_| {
            let what = call.describe();
            match fault {
                Some(fault) => format!("#{number} {what}, fault: {fault}"),
                None if fate.is_some() => format!("#{number} {what}, in an outage"),
                None => format!("#{number} {what}"),
            }
        });
        let (there, back) = self.latency();
        let request = self.requests.vacant_key();
        let mut new = Request {
            number,
            node,
            place,
            call,
            fault,
            reply: None,
            arrived: false,
            waker: None,
            parties: 1,
        };
        match fate {
            Some(Fault::Throttled) => {
                let error = Error::not_applied(ErrorKind::Throttled, "too many requests");
                new.reply = Some(Err(new.call.blame(error)));
                self.arrive(there + back, What::Reply { request });
                new.parties += 1;
            }
            Some(Fault::RequestLost | Fault::Outage) => {
                new.reply = Some(Err(no_answer(&new.call)));
                self.give_up(request);
                new.parties += 1;
            }
            Some(Fault::RequestLate) => {
                new.reply = Some(Err(no_answer(&new.call)));
                self.give_up(request);
                let late = TIMEOUT_MICROS + there + self.lateness();
                self.arrive(late, What::Deliver { request, answered: false });
                new.parties += 2;
            }
            Some(Fault::RequestTwice) => {
                self.arrive(there, What::Deliver { request, answered: true });
                let again = there + self.lateness();
                self.arrive(again, What::Deliver { request, answered: false });
                new.parties += 2;
            }
            Some(
                Fault::ReplyLost
                | Fault::ListStale
                | Fault::BitFlipped
                | Fault::Truncated
                | Fault::OldVersion,
            )
            | None => {
                self.arrive(there, What::Deliver { request, answered: true });
                new.parties += 1;
            }
        }
        self.requests.insert(new)
    }

    /// A request reaches its provider and is carried out.
    pub(crate) fn deliver(&mut self, index: usize, answered: bool) {
        let request = &self.requests[index];
        let (node, place, fault) = (request.node, request.place, request.fault);
        let view = if answered { self.view(place, fault) } else { View::Now };
        let request = &mut self.requests[index];
        let mut reply = self.places[place as usize].apply(&request.call, view);
        self.tape.note(u64::from(reply.is_ok()) << 32 | self.places[place as usize].changes);
        if let Some(steps) = &mut self.search {
            let touched = steps.touched();
            touched.call(place, &self.requests[index].call, view, reply.is_ok());
            if answered {
                touched.link(node, false);
            }
        }
        let about = About::Applied { request: self.requests[index].number };
        self.tell(Who::Place(place), about, |state| {
            let request = &state.requests[index];
            let again = if answered { "" } else { ", late" };
            format!("#{} {}{again}: {}", request.number, request.call.describe(), outcome(&reply))
        });
        if !answered {
            self.release(index);
        } else if fault == Some(Fault::ReplyLost) {
            self.lose_reply(index);
        } else {
            self.damage(fault, &mut reply);
            self.requests[index].reply = Some(reply);
            if self.is_cut(node, place) {
                self.lose_reply(index);
            } else if matches!(self.plan.order, Order::Any { answers_at_once: true, .. }) {
                self.reply(index);
            } else {
                let (_, back) = self.latency();
                self.arrive(back, What::Reply { request: index });
            }
        }
    }

    /// An answer reaches its sender, if that is still there and waits.
    pub(crate) fn reply(&mut self, index: usize) {
        let node = self.requests[index].node;
        self.touches(|step| step.node(node));
        let request = &mut self.requests[index];
        request.arrived = true;
        if let Some(waker) = request.waker.take() {
            waker.wake();
            let about = About::Answered { request: self.requests[index].number };
            self.tell(Who::Node(node), about, |state| {
                let request = &state.requests[index];
                let reply = request.reply.as_ref().map_or_else(String::new, outcome);
                format!("#{} answered: {reply}", request.number)
            });
        }
        self.release(index);
    }

    fn release(&mut self, index: usize) {
        let request = &mut self.requests[index];
        request.parties -= 1;
        if request.parties == 0 {
            self.requests.remove(index);
        }
    }

    fn lose_reply(&mut self, index: usize) {
        let request = &mut self.requests[index];
        request.reply = Some(Err(no_answer(&request.call)));
        self.give_up(index);
    }

    /// The sender learns that no answer came, when it has waited long enough.
    fn give_up(&mut self, request: usize) {
        self.arrive(TIMEOUT_MICROS, What::Reply { request });
    }

    /// What the call sees, where a fault shows it something that is past.
    fn view(&mut self, place: u32, fault: Option<Fault>) -> View {
        match fault {
            Some(Fault::OldVersion) => View::Older,
            Some(Fault::ListStale) => {
                let searched = self.plan.order.is_any();
                let max = if searched { STALE_CHANGES_SEARCHED_MAX } else { STALE_CHANGES_MAX };
                let max = self.places[place as usize].changes.min(max).max(1);
                let changes = 1 + u64::from(self.tape.choose(max as u32));
                let shown = if searched { 0 } else { self.tape.choose(256) as u8 };
                View::Stale { changes, shown }
            }
            Some(_) | None => View::Now,
        }
    }

    /// Spoils the body of an answer, where that is the fault.
    fn damage(&mut self, fault: Option<Fault>, reply: &mut Result<Answer>) {
        let Ok(Answer::Get(object)) = reply else { return };
        if object.body.is_empty() {
            return;
        }
        match fault {
            Some(Fault::BitFlipped) => {
                let bit = self.tape.choose(object.body.len() as u32 * 8) as usize;
                let mut body = object.body.to_vec();
                body[bit / 8] ^= 1 << (bit % 8);
                object.body = Bytes::from(body);
            }
            Some(Fault::Truncated) => {
                let left = self.tape.choose(object.body.len() as u32) as usize;
                object.body.truncate(left);
            }
            Some(_) | None => {}
        }
    }

    fn begin_outage(&mut self, node: u32, place: u32) {
        let searched = self.plan.order.is_any();
        let lot = if searched { 0 } else { self.tape.choose(OUTAGE_SECONDS.len() as u32) };
        let time = Duration::from_secs(OUTAGE_SECONDS[lot as usize]);
        self.outages.push((node, place, self.now + time.as_micros() as u64));
        self.touches(|step| {
            step.link(node, true);
            step.time(false);
        });
        self.say(Who::Node(node), |state| {
            format!("is cut off from {} for {time:?}", state.places[place as usize].name)
        });
    }

    fn is_cut(&mut self, node: u32, place: u32) -> bool {
        if !self.outages.is_empty() {
            self.touches(|step| step.time(false));
        }
        let now = self.now;
        self.outages.retain(|&(_, _, until)| until > now);
        self.outages.iter().any(|&(cut, from, _)| (cut, from) == (node, place))
    }

    /// How long a request takes there, and how long its answer takes back, in microseconds.
    fn latency(&mut self) -> (u64, u64) {
        const STEPS: u32 = 32;
        if self.plan.order.is_any() {
            return (1000, 1000);
        }
        let lot = u64::from(self.tape.choose(STEPS));
        let micros = 500 + lot * lot * 100;
        (micros, micros)
    }

    fn lateness(&mut self) -> u64 {
        if self.plan.order.is_any() {
            return 1000;
        }
        let lot = u64::from(self.tape.choose(LATE_LOTS));
        lot * lot * 50
    }

    /// Takes a call into the hash, so that runs that ask for other things are told apart.
    fn note_call(&mut self, node: u32, call: &Call) {
        self.tape.note(self.now << 8 | u64::from(node) << 2 | call.operation() as u64);
        for word in call.name().as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            self.tape.note(u64::from_le_bytes(bytes));
        }
        if let Call::Put { body, .. } = call {
            self.tape.note(body.len() as u64);
        }
    }
}

fn no_answer(call: &Call) -> Error {
    let message = "no answer came in time";
    let mutation = matches!(call.operation(), Operation::Put | Operation::Delete);
    call.blame(if mutation {
        Error::unknown(ErrorKind::Unavailable, message)
    } else {
        Error::not_applied(ErrorKind::Unavailable, message)
    })
}

/// What came of a call, for the trace.
fn outcome(reply: &Result<Answer>) -> String {
    match reply {
        Ok(answer) => answer.describe(),
        Err(error) => {
            let unknown = if error.effect() == Effect::Unknown { ", effect unknown" } else { "" };
            format!("{} ({}){unknown}", error.kind(), error.message())
        }
    }
}
