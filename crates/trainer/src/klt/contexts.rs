//! Which contexts of a channel share a frequency table.

use feature_codec::{CLASSES, ChannelCounts, Context, Counts, Symbol, class_of};

/// A table pays for itself by this many bits over all pictures, beside its description.
const LEAST_GAIN: f64 = 64.0;

/// Counts of one channel's symbols, which come with what stands around them.
///
/// Activities are cut at their terciles. Then the two classes of contexts whose common table costs least over
/// their own ones are put together, for as long as the bits lost are fewer than those that a table's
/// description takes.
pub(super) fn channel_counts(symbols: &[(Symbol, Context)]) -> ChannelCounts {
    let mut activities: Vec<u16> = symbols.iter().map(|(_, around)| around.activity).collect();
    activities.sort_unstable();
    let tercile = |n: usize| activities.get(n * activities.len() / 3).copied();
    let levels = [tercile(1).unwrap_or(0), tercile(2).unwrap_or(0)];

    let values = symbols.iter().map(|(symbol, _)| *symbol);
    let (min, max) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
    let width = (i32::from(max) - i32::from(min) + 1) as usize;
    let mut groups: Vec<Group> = (0..CLASSES)
        .map(|class| Group::empty(class, width))
        .collect();
    for (symbol, around) in symbols {
        let index = (i32::from(*symbol) - i32::from(min)) as usize;
        groups[class_of(levels, *around)].counts[index] += 1;
    }
    for group in &mut groups {
        group.bits = bits(&group.counts);
    }
    merge(&mut groups, symbols.len());

    // Tables stand in the order in which the classes name them.
    groups.sort_by_key(|group| group.classes.iter().min().copied());
    let mut classes = [0; CLASSES];
    for (table, group) in groups.iter().enumerate() {
        for class in &group.classes {
            classes[*class] = table as u8;
        }
    }
    let lone = groups.len() == 1;
    ChannelCounts {
        levels: if lone { [0; 2] } else { levels },
        classes,
        counts: groups
            .into_iter()
            .map(|group| Counts {
                min,
                counts: group.counts,
            })
            .collect(),
    }
}

/// Classes with a common table.
struct Group {
    classes: Vec<usize>,
    counts: Vec<u64>,
    /// What the symbols take by this table.
    bits: f64,
}

impl Group {
    fn empty(class: usize, width: usize) -> Self {
        Self {
            classes: vec![class],
            counts: vec![0; width],
            bits: 0.0,
        }
    }

    fn with(&self, other: &Self) -> Self {
        let counts = self.counts.iter().zip(&other.counts);
        let counts: Vec<u64> = counts.map(|(a, b)| a + b).collect();
        Self {
            classes: [&self.classes[..], &other.classes[..]].concat(),
            bits: bits(&counts),
            counts,
        }
    }

    /// Different symbols, each of which a table must describe.
    fn entries(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0).count()
    }
}

fn merge(groups: &mut Vec<Group>, symbols: usize) {
    let description = 0.5 * (symbols.max(2) as f64).log2();
    while groups.len() > 1 {
        let mut best: Option<(f64, usize, usize, Group)> = None;
        for b in 1..groups.len() {
            for a in 0..b {
                let both = groups[a].with(&groups[b]);
                let spared = groups[a].entries() + groups[b].entries() - both.entries();
                let loss = both.bits - groups[a].bits - groups[b].bits;
                let loss = loss - description * spared as f64;
                if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                    best = Some((loss, a, b, both));
                }
            }
        }
        let Some((loss, a, b, both)) = best else {
            return;
        };
        // A class that was never met must not keep a table of its own.
        let empty = groups[a].entries() == 0 || groups[b].entries() == 0;
        if loss > LEAST_GAIN && !empty {
            return;
        }
        groups.remove(b);
        groups[a] = both;
    }
}

/// Bits of so many symbols by a table of just these counts.
fn bits(counts: &[u64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| *count as f64 * (total / *count as f64).log2())
        .sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use feature_codec::Tables;

    use super::*;

    /// Symbols that are large where the activity is high, and follow the trend or do not.
    fn symbols(follow: bool) -> Vec<(Symbol, Context)> {
        let mut random = fastrand::Rng::with_seed(3);
        (0..20_000)
            .map(|_| {
                let trend = random.u8(0..5);
                let activity = random.u16(0..300);
                let wide = if activity < 100 { 1 } else { 4 };
                let centre = if follow {
                    2 * (i16::from(trend) - 2)
                } else {
                    0
                };
                let symbol = centre + random.i16(-wide..=wide);
                (symbol, Context { trend, activity })
            })
            .collect()
    }

    #[test]
    fn contexts_that_tell_have_tables_of_their_own() {
        let counts = channel_counts(&symbols(true));
        // Five trends at two widths; the upper two thirds of the activities tell nothing apart.
        assert_eq!(counts.counts.len(), 10);
        assert_eq!(counts.classes[1], counts.classes[2]);
        assert_ne!(counts.classes[0], counts.classes[1]);
        Tables::from_counts(&[counts]).unwrap();
    }

    #[test]
    fn contexts_that_do_not_tell_share_one() {
        let counts = channel_counts(&symbols(false));
        assert_eq!(counts.counts.len(), 2);
        Tables::from_counts(&[counts]).unwrap();
    }

    #[test]
    fn a_channel_that_is_always_zero_has_one_table() {
        let none = Context {
            trend: 2,
            activity: 0,
        };
        let counts = channel_counts(&vec![(0, none); 100]);
        assert_eq!((counts.counts.len(), counts.levels), (1, [0, 0]));
        Tables::from_counts(&[counts]).unwrap();
    }
}
