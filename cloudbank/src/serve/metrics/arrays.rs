//! The numbers of arrays and of their members, as far as this server knows them.

use std::collections::BTreeMap;

use metrics::Unit;
use storage_array::{MemberState, MemberStatus};

use crate::arrays::Arrays;

const CAN_LOSE: &str = "cloudbank_array_can_lose_members";
const HEDGED: &str = "cloudbank_array_hedged_reads_total";
const REPAIRED: &str = "cloudbank_array_repaired_pieces_total";
const UP: &str = "cloudbank_array_member_up";
const OWED: &str = "cloudbank_array_member_owed_objects";
const DAMAGED: &str = "cloudbank_array_member_damaged_pieces_total";
const READS_TAKE: &str = "cloudbank_array_member_read_seconds";
const WRITES_TAKE: &str = "cloudbank_array_member_write_seconds";
const READ_BYTES: &str = "cloudbank_array_member_read_bytes_total";
const WRITTEN_BYTES: &str = "cloudbank_array_member_written_bytes_total";
const SPENT: &str = "cloudbank_array_member_spent";

/// How the arrays and their members are doing.
pub(crate) fn set_arrays(arrays: &Arrays) {
    // An array may have been opened several times: what was asked through all of its handles is added up.
    let mut can_lose: BTreeMap<String, usize> = BTreeMap::new();
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut members: BTreeMap<(String, String), Sum> = BTreeMap::new();
    for (name, array) in arrays.all() {
        let Some(status) = array.known_status() else { continue };
        let least = can_lose.entry(name.clone()).or_insert(usize::MAX);
        *least = status.can_lose.min(*least);
        let (repaired, hedged) = counts.entry(name.clone()).or_default();
        *repaired += status.counts.repaired;
        *hedged += status.counts.hedged;
        for member in &status.members {
            members.entry((name.clone(), member.name.clone())).or_default().add(member);
        }
    }
    for (array, can_lose) in can_lose {
        metrics::gauge!(CAN_LOSE, "array" => array).set(can_lose as f64);
    }
    for (array, (repaired, hedged)) in counts {
        metrics::counter!(REPAIRED, "array" => array.clone()).absolute(repaired);
        metrics::counter!(HEDGED, "array" => array).absolute(hedged);
    }
    for ((array, member), sum) in members {
        let labels = [("array", array), ("member", member)];
        metrics::gauge!(UP, &labels).set(f64::from(u8::from(!sum.down)));
        metrics::gauge!(OWED, &labels).set(sum.owed as f64);
        metrics::gauge!(READS_TAKE, &labels).set(sum.reads_take);
        metrics::gauge!(WRITES_TAKE, &labels).set(sum.writes_take);
        metrics::gauge!(SPENT, &labels).set(sum.spent);
        metrics::counter!(DAMAGED, &labels).absolute(sum.damaged);
        metrics::counter!(READ_BYTES, &labels).absolute(sum.read_bytes);
        metrics::counter!(WRITTEN_BYTES, &labels).absolute(sum.written_bytes);
    }
}

/// What is known of a member through all handles on its array.
#[derive(Default)]
struct Sum {
    down: bool,
    owed: usize,
    damaged: u64,
    reads_take: f64,
    writes_take: f64,
    read_bytes: u64,
    written_bytes: u64,
    spent: f64,
}

impl Sum {
    fn add(&mut self, member: &MemberStatus) {
        self.down |= member.state == MemberState::Down;
        self.owed += member.owed;
        self.damaged += member.damaged;
        // The handle that was used most knows best.
        if member.traffic.read_bytes >= self.read_bytes {
            self.reads_take = member.reads_take.as_secs_f64();
            self.writes_take = member.writes_take.as_secs_f64();
        }
        self.read_bytes += member.traffic.read_bytes;
        self.written_bytes += member.traffic.written_bytes;
        self.spent += member.prices.of(&member.traffic);
    }
}

pub(super) fn describe_metrics() {
    use metrics::{describe_counter as counter, describe_gauge as gauge};
    gauge!(
        CAN_LOSE,
        "how many more members an array may lose, those down or behind taken for lost"
    );
    counter!(HEDGED, "reads of an array that asked one member more, as another was late");
    counter!(
        REPAIRED,
        "pieces that this server has made anew, or brought to members that lacked them"
    );
    gauge!(UP, "0 while a member of an array fails and is left alone");
    gauge!(OWED, "objects that this server has yet to bring to a member");
    counter!(DAMAGED, "pieces on a member that were not what was put there");
    gauge!(READS_TAKE, Unit::Seconds, "what a member usually takes to read");
    gauge!(WRITES_TAKE, Unit::Seconds, "what a member usually takes to write");
    counter!(READ_BYTES, Unit::Bytes, "bytes that came from a member");
    counter!(WRITTEN_BYTES, Unit::Bytes, "bytes that went to a member");
    gauge!(SPENT, "what the requests of this server to a member cost, by the declared `prices`");
}
