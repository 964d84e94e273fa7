import pytest

from churnsurv.data.linting.names import outcome_words, snapshot_words


@pytest.mark.parametrize(
    "name",
    [
        "recoveries",
        "collection_recovery_fee",
        "LGD",
        "lgd_time",
        "chargeOffDate",
        "charged_off",
        "ChargeOff_Dt",
        "write_off_amount",
        "payoff_time",
        "DefaultDate",
        "default_time",
        "date_of_exit",
        "closed_on",
        "account_closed",
        "debt_settlement_flag",
        "prepaid_month",
        "loan_status",
        "net_loss",
        "churned",
    ],
)
def test_names_of_outcomes_are_recognised_in_any_spelling_and_at_any_lag(name):
    assert outcome_words(name, lagged=True)
    assert outcome_words(name, lagged=False)


@pytest.mark.parametrize("name", ["last_pymnt_amnt", "last_payment_d", "total_pymnt", "total_paid", "total_rec_prncp"])
def test_running_values_are_honest_when_they_are_lagged(name):
    assert outcome_words(name, lagged=False)
    assert outcome_words(name, lagged=True) == ""


@pytest.mark.parametrize(
    "name",
    ["last_seen", "max_dpd_ever", "paid_to_date", "payments_made", "MonthsOnBook", "out_prncp", "current_balance"],
)
def test_names_of_states_at_the_extraction_are_recognised(name):
    assert snapshot_words(name)


@pytest.mark.parametrize(
    "name",
    [
        "balance",
        "credit_score",
        "months_since_contact",
        "days_past_due_max_12m",
        "inq_last_6mths",
        "open_acc",
        "closing_costs",
        "existing_customer",
        "default_history",
        "job_loss",
        "status_of_residence",
        "exiting_debt",
        "totals",
        "never_late",
        "fees_12m",
    ],
)
def test_honest_names_are_left_alone(name):
    assert outcome_words(name, lagged=False) == ""
    assert snapshot_words(name) == ""
