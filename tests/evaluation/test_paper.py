"""The published rows are consistent among themselves."""

from mgjax.evaluation.paper import IMIGUE, NTU_SUBJECT, NTU_VIEW, TABLES


def test_the_registry_is_consistent():
    for table in TABLES.values():
        keys = [row.key for row in table.rows]
        assert len(set(keys)) == len(keys)
        for each in table.rows:
            assert all(len(figures) == len(table.figures) for figures in each.published.values())
            assert not (each.reference and each.model)
    # Rows that share a folder are one run, and the tables agree where they publish the same thing.
    shared = {}
    for each in (row for table in TABLES.values() for row in table.rows if row.model):
        assert shared.setdefault(each.runs, (each.model, each.changes)) == (
            each.model,
            each.changes,
        )
    recognition, ablation = ({row.key: row for row in TABLES[number].rows} for number in (2, 4))
    for key in ("usvae", "predict_cluster"):
        assert recognition[key].published[IMIGUE][0] == ablation[key].published[IMIGUE][0]
    # Best published by pose in the paper, best by RGB, and the paper's own, as shares of 1.
    assert recognition["msg3d"].published[IMIGUE] == (54.91, 89.98)
    assert recognition["tsm"].published[IMIGUE] == (61.10, 91.24)
    assert ablation["usvae"].published == {
        IMIGUE: (32.43,),
        NTU_VIEW: (64.88,),
        NTU_SUBJECT: (50.96,),
    }
