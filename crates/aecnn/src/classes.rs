//! Logits to classes: what comes behind the network, on whichever side it ran.

/// One class of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// Index of the class.
    pub index: usize,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

/// Logits to probabilities, or `None` when they are not all finite numbers.
#[must_use]
pub fn softmax(logits: &[f32]) -> Option<Vec<f32>> {
    if logits.is_empty() || !logits.iter().all(|logit| logit.is_finite()) {
        return None;
    }
    // Subtracting the largest changes nothing but keeps the exponentials in range.
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> = logits
        .iter()
        .map(|logit| f64::from(logit - largest).exp())
        .collect();
    let sum: f64 = exponentials.iter().sum();
    Some(
        exponentials
            .iter()
            .map(|value| (value / sum) as f32)
            .collect(),
    )
}

/// The `k` most probable classes, the most probable first; of equals, the lower index first.
#[must_use]
pub fn top_k(probabilities: &[f32], k: usize) -> Vec<Class> {
    let mut classes: Vec<Class> = probabilities
        .iter()
        .enumerate()
        .map(|(index, &probability)| Class { index, probability })
        .collect();
    classes.sort_by(|a, b| {
        b.probability
            .total_cmp(&a.probability)
            .then(a.index.cmp(&b.index))
    });
    classes.truncate(k);
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_is_right_and_survives_large_logits() {
        let even = softmax(&[1000.0, 1000.0]).unwrap();
        assert_eq!(even, [0.5, 0.5]);
        let odds = softmax(&[0.0, 3f32.ln()]).unwrap();
        assert!((odds[1] - 0.75).abs() < 1e-6, "{odds:?}");
        let extremes = softmax(&[f32::MAX, f32::MIN]).unwrap();
        assert_eq!(extremes, [1.0, 0.0]);
    }

    #[test]
    fn what_is_no_number_has_no_probabilities() {
        assert_eq!(softmax(&[0.0, f32::NAN]), None);
        assert_eq!(softmax(&[0.0, f32::INFINITY]), None);
        assert_eq!(softmax(&[]), None);
    }

    #[test]
    fn top_k_is_sorted_and_stable() {
        let top = top_k(&[0.1, 0.3, 0.3, 0.2], 3);
        assert_eq!(
            top.iter().map(|class| class.index).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert_eq!(top_k(&[1.0], 5).len(), 1);
    }
}
