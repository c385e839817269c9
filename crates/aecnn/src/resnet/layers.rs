//! Stem and stages, or some of them, in whichever form.

/// The stem, where it is among them, and the stages behind it; copies share the weights.
#[derive(Debug, Clone)]
pub(super) struct Layers<Stem, Stage> {
    pub(super) stem: Option<Stem>,
    pub(super) stages: Vec<Stage>,
}

impl<Stem: Clone, Stage: Clone> Layers<Stem, Stage> {
    /// The stem and the first `stages` stages.
    pub(super) fn front(&self, stages: usize) -> Self {
        Self {
            stem: self.stem.clone(),
            stages: self.stages[..stages].to_vec(),
        }
    }

    /// The stages behind the first `stages`.
    pub(super) fn tail(&self, stages: usize) -> Self {
        Self {
            stem: None,
            stages: self.stages[stages..].to_vec(),
        }
    }
}
