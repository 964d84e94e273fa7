"""Leaks planted in the simulated portfolio, made as they come about at a lender: by late extracts, joins and backfills."""

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pandas as pd

from churnsurv.data import SpellRules, build_spells


@dataclass(frozen=True)
class Leak:
    """Spells with one leak, how to look at them, and the sign that must come out."""

    spells: object
    rule: str
    column: str
    level: str
    options: dict = field(default_factory=dict)


def changed(rules, **keys):
    """Give rules with some keys changed."""
    return SpellRules(**(rules.model_dump(exclude_none=True) | keys))


def lean(rules):
    """Give the rules of a portfolio with some of its covariates, none of them the same everywhere in a month."""
    few = {
        "loans": ("term", "approval_days"),
        "performance": (
            "balance", "credit_score", "debt_to_income", "fees_12m", "response_hours", "complaints_12m", "csat",
            "outage_minutes", "months_since_contact", "products_held", "loyalty_tier", "rate_offer", "faster_service",
        ),
        "macro": ("unemployment_rate",),
    }  # fmt: skip
    return changed(rules, covariates=few, burnout=False)


def spells_whole(portfolio, *, loans=None, performance=None, macro=None):
    """Build the spells of a portfolio with more columns in its tables, all of them covariates."""
    tables, rules = _with_more(portfolio, loans=loans, performance=performance, macro=macro)
    return build_spells(rules=rules, **tables)


def spells_of(portfolio, **more):
    """Give what `spells_whole` gives, quickly: the new columns are built alone and put beside those of the portfolio."""
    base = base_of(portfolio)
    tables, rules = _with_more(portfolio, **more)
    new = {table: tuple(columns) for table, columns in more.items()}
    alone = changed(rules, covariates=new, rate_incentive=None, keep=(), zero_is_missing=(), plausible={})
    built = build_spells(rules=alone, **tables)
    added = [name for names in new.values() for name in names]

    def joined(known, others):
        first = [name for name in known if name not in rules.covariate_names]
        return pd.concat([known, others[added]], axis=1)[[*first, *rules.covariate_names]]

    return replace(base, frame=joined(base.frame, built.frame), ahead=joined(base.ahead, built.ahead), rules=rules)


@cache
def base_of(portfolio):
    return build_spells(portfolio.loans, portfolio.performance, lean(portfolio.rules), macro=portfolio.macro)


def _with_more(portfolio, **more):
    tables, rules = {}, lean(portfolio.rules)
    names = rules.covariates.model_dump()
    for table in names:
        tables[table] = getattr(portfolio, table).assign(**(more.get(table) or {}))
        names[table] = (*names[table], *(more.get(table) or {}))
    return tables, changed(rules, covariates=names)


def unlagged(portfolio, spells, name, values=None):
    """Give spells in which a performance column has the values of the spell's own period, as lag 0 would give them."""
    performance = portfolio.performance.assign(**({} if values is None else {name: values}))
    keys = pd.MultiIndex.from_arrays([performance["loan_id"], performance["month"].dt.to_period("M")])
    now = pd.Series(performance[name].to_numpy(), index=keys)
    frame = spells.frame
    wanted = pd.MultiIndex.from_arrays([frame["loan_id"], frame["period"].dt.to_period("M")])
    known = spells.rules.covariates
    covariates = known.model_dump() | {"performance": tuple(dict.fromkeys([*known.performance, name]))}
    rules = changed(spells.rules, covariates=covariates, lags={name: 0})
    return replace(spells, frame=frame.assign(**{name: now.reindex(wanted).to_numpy()}), rules=rules)


def lives(portfolio):
    """Give one row per loan, in the order of the loan table: its last status, first and last month, months observed."""
    rows = portfolio.performance.sort_values("month").groupby("loan_id")
    columns = {
        "status": rows["status"].last(),
        "first": rows["month"].first(),
        "last": rows["month"].last(),
        "months": rows.size(),
        "balance": rows["balance"].max(),
    }
    loans = portfolio.loans.set_index("loan_id")
    return (
        pd.DataFrame(columns)
        .reindex(loans.index)
        .assign(
            age=lambda d: (
                (d["last"].dt.year - loans["origination_date"].dt.year) * 12
                + d["last"].dt.month
                - loans["origination_date"].dt.month
                + 1
            )
        )
    )


def recoveries(portfolio, spells, rng):
    life = lives(portfolio)
    amount = np.where(
        (life["status"] == "charged_off") & (rng.random(len(life)) < 0.7), rng.gamma(2, 400, len(life)), 0
    )
    return Leak(spells_of(portfolio, loans={"recoveries": amount}), "post-outcome column", "recoveries", "error")


def date_of_charge_off(portfolio, spells, rng):
    life = lives(portfolio)
    # the name says nothing
    date = life["last"].where(life["status"] == "charged_off") + pd.Timedelta(days=40)
    return Leak(spells_of(portfolio, loans={"co_dt": date.to_numpy()}), "post-outcome column", "co_dt", "error")


def status_at_extraction(portfolio, spells, rng):
    status = lives(portfolio)["status"].map({"open": "C", "prepaid": "P", "charged_off": "X", "matured": "M"})
    return Leak(spells_of(portfolio, loans={"st_cd": status.to_numpy()}), "post-outcome column", "st_cd", "error")


def status_code_as_number(portfolio, spells, rng):
    status = lives(portfolio)["status"].map({"open": 1, "matured": 2, "prepaid": 3, "charged_off": 4})
    return Leak(spells_of(portfolio, loans={"code": status.to_numpy()}), "post-outcome column", "code", "error")


def next_due_date(portfolio, spells, rng):
    life = lives(portfolio)
    due = (life["last"] + pd.Timedelta(days=15)).where(life["status"] == "open")
    return Leak(spells_of(portfolio, loans={"due_dt": due.to_numpy()}), "post-outcome column", "due_dt", "error")


def account_is_inactive(portfolio, spells, rng):
    inactive = (lives(portfolio)["status"] != "open").to_numpy()
    return Leak(spells_of(portfolio, loans={"inactive": inactive}), "post-outcome column", "inactive", "error")


def share_of_the_last_payment(portfolio, spells, rng):
    life, loans = lives(portfolio), portfolio.loans.set_index("loan_id")
    left = (1 - life["age"] / loans["term"]).clip(lower=0) * loans["amount"]
    instalment = loans["amount"] / loans["term"] * rng.uniform(0.98, 1.02, len(loans))
    last = instalment + np.where(life["status"] == "prepaid", left, 0)
    ratio = (last / instalment).to_numpy()
    return Leak(spells_of(portfolio, loans={"pmt_ratio": ratio}), "post-outcome column", "pmt_ratio", "error")


def loss_given_default(portfolio, spells, rng):
    default = portfolio.performance["status"] == "charged_off"
    lgd = np.where(default, rng.uniform(0.2, 0.9, len(default)), np.nan)
    return Leak(unlagged(portfolio, spells, "sev", lgd), "post-outcome column", "sev", "error")


def last_payment_by_its_name(portfolio, spells, rng):
    amounts = rng.gamma(4, 80, len(portfolio.loans))
    return Leak(
        spells_of(portfolio, loans={"last_pymnt_amnt": amounts}), "post-outcome column", "last_pymnt_amnt", "warning"
    )


def balance_of_the_same_month(portfolio, spells, rng):
    return Leak(unlagged(portfolio, spells, "balance"), "changes at exit", "balance", "error")


def request_of_the_same_month(portfolio, spells, rng):
    performance = portfolio.performance
    asked = (performance["status"] == "prepaid") & (rng.random(len(performance)) < 0.7)
    asked |= rng.random(len(performance)) < 0.002
    return Leak(unlagged(portfolio, spells, "redemption", asked.astype(int)), "changes at exit", "redemption", "error")


def limit_cut_at_default(portfolio, spells, rng):
    performance = portfolio.performance
    limit = performance["loan_id"].map(
        pd.Series(rng.integers(1, 9, len(portfolio.loans)) * 500.0, portfolio.loans["loan_id"])
    )
    cut = limit - np.where(performance["status"] == "charged_off", 450.0, 0.0)
    return Leak(unlagged(portfolio, spells, "limit", cut), "changes at exit", "limit", "error")


def satisfaction_of_the_same_month(portfolio, spells, rng):
    return Leak(unlagged(portfolio, spells, "csat"), "unlagged column", "csat", "warning")


def unemployment_of_the_same_month(portfolio, spells, rng):
    rules = changed(spells.rules, lags={"unemployment_rate": 0})
    return Leak(replace(spells, rules=rules), "future macro value", "unemployment_rate", "warning")


def unemployment_before_it_is_published(portfolio, spells, rng):
    options = {"published_after": {"unemployment_rate": 1}}
    return Leak(spells, "future macro value", "unemployment_rate", "error", options)


def interpolated_growth(portfolio, spells, rng):
    months = portfolio.macro["month"].drop_duplicates().sort_values()
    quarterly = pd.Series(np.round(rng.normal(1.5, 1.2, len(months)), 1), months).where(
        months.dt.month.to_numpy() % 3 == 0
    )
    growth = portfolio.macro["month"].map(quarterly.interpolate(limit_direction="both")).to_numpy()
    return Leak(spells_of(portfolio, macro={"gdp_growth": growth}), "future macro value", "gdp_growth", "warning")


def offered(portfolio):
    arms = portfolio.interventions.query("intervention == 'rate_offer'").set_index("loan_id")["arm"]
    return portfolio.loans["loan_id"].map(arms)


def ever_offered(portfolio, spells, rng):
    flag = (offered(portfolio) == "offer").astype(int).to_numpy()
    options = {"interventions": portfolio.interventions}
    return Leak(spells_of(portfolio, loans={"treated": flag}), "immortal time", "treated", "error", options)


def arm_of_the_offer(portfolio, spells, rng):
    arm = offered(portfolio).fillna("none").to_numpy()
    options = {"interventions": portfolio.interventions}
    return Leak(spells_of(portfolio, loans={"rate_test": arm}), "immortal time", "rate_test", "error", options)


def flag_on_since_the_mailing(portfolio, spells, rng):
    performance = portfolio.performance
    early = (performance["month"] >= "2025-06-30") & performance["loan_id"].map(
        dict(zip(portfolio.loans["loan_id"], offered(portfolio) == "offer", strict=True))
    )
    planted = spells_of(portfolio, performance={"mailed": early.astype(int)})
    return Leak(planted, "immortal time", "mailed", "error", {"interventions": portfolio.interventions})


def service_since_origination(portfolio, spells, rng):
    assigned = portfolio.interventions.query("intervention == 'faster_service'")["loan_id"]
    flag = portfolio.loans["loan_id"].isin(assigned).to_numpy()
    performance = portfolio.performance
    now = performance["loan_id"].map(dict(zip(portfolio.loans["loan_id"], flag, strict=True))).astype(int)
    planted = spells_whole(replace(portfolio, performance=performance.assign(faster_service=now)))
    return Leak(planted, "immortal time", "faster_service", "error", {"interventions": portfolio.interventions})


def offered_without_the_table(portfolio, spells, rng):
    flag = offered(portfolio).notna().to_numpy()
    return Leak(spells_of(portfolio, loans={"in_test": flag}), "immortal time", "in_test", "warning")


def topped_up_after_a_year(portfolio, spells, rng):
    life = lives(portfolio)
    flag = np.where((life["age"] >= 13) & (rng.random(len(life)) < 0.4), "yes", "no")
    return Leak(spells_of(portfolio, loans={"top_up": flag}), "immortal time", "top_up", "warning")


def months_on_book(portfolio, spells, rng):
    months = lives(portfolio)["months"].to_numpy()
    return Leak(spells_of(portfolio, loans={"n_rows": months}), "lifetime aggregate", "n_rows", "error")


def age_when_last_seen(portfolio, spells, rng):
    age = lives(portfolio)["age"].to_numpy() - 1
    return Leak(spells_of(portfolio, loans={"seasoning": age}), "lifetime aggregate", "seasoning", "error")


def date_last_seen(portfolio, spells, rng):
    day = lives(portfolio)["last"] - pd.to_timedelta(rng.integers(0, 28, len(portfolio.loans)), unit="D")
    return Leak(spells_of(portfolio, loans={"seen_on": day.to_numpy()}), "lifetime aggregate", "seen_on", "error")


def contacts_in_all(portfolio, spells, rng):
    life = lives(portfolio)
    contacts = rng.poisson(0.3 * rng.gamma(4, 0.25, len(life)) * life["months"])
    return Leak(spells_of(portfolio, loans={"contacts": contacts}), "lifetime aggregate", "contacts", "warning")


def instalments_paid(portfolio, spells, rng):
    life = lives(portfolio)
    missed = rng.binomial(life["months"].to_numpy(), 0.03)
    paid = (life["months"] - missed).to_numpy()
    return Leak(spells_of(portfolio, loans={"instalments": paid}), "lifetime aggregate", "instalments", "error")


def score_at_extraction(portfolio, spells, rng):
    score = portfolio.performance.sort_values("month").groupby("loan_id")["credit_score"].last()
    planted = spells_of(portfolio, loans={"fico": portfolio.loans["loan_id"].map(score).to_numpy()})
    return Leak(planted, "lifetime aggregate", "fico", "error")


def worst_complaints_ever(portfolio, spells, rng):
    worst = portfolio.performance.groupby("loan_id")["complaints_12m"].max()
    planted = spells_of(portfolio, loans={"complaints_peak": portfolio.loans["loan_id"].map(worst).to_numpy()})
    return Leak(planted, "lifetime aggregate", "complaints_peak", "error")


def months_to_the_exit(portfolio, spells, rng):
    performance, life = portfolio.performance, lives(portfolio)
    last = performance["loan_id"].map(life["last"])
    months = (last.dt.year - performance["month"].dt.year) * 12 + last.dt.month - performance["month"].dt.month
    # an unknown exit lies far ahead
    leaves = performance["loan_id"].map(life["status"]).isin(["prepaid", "charged_off"])
    planted = spells_of(portfolio, performance={"horizon": months.where(leaves, 60)})
    return Leak(planted, "suspicious discrimination", "horizon", "error")


def score_trained_on_the_outcome(portfolio, spells, rng):
    leaves = portfolio.performance["status"].isin(["prepaid", "charged_off"]).groupby(portfolio.performance["loan_id"])
    next_month = leaves.shift(-1, fill_value=False)
    score = rng.normal(0, 1, len(next_month)) + 3.1 * next_month
    planted = spells_of(portfolio, performance={"propensity": score})
    return Leak(planted, "suspicious discrimination", "propensity", "warning")


def segment_trained_on_the_outcome(portfolio, spells, rng):
    performance = portfolio.performance
    leaves = performance["status"].isin(["prepaid", "charged_off"]).groupby(performance["loan_id"])
    next_month = leaves.shift(-1, fill_value=False).to_numpy()
    group = np.where(next_month, rng.integers(8, 10, len(next_month)), rng.integers(0, 8, len(next_month)))
    group = np.where(rng.random(len(group)) < 0.01, rng.integers(8, 10, len(group)), group)
    planted = spells_of(portfolio, performance={"cluster": pd.Series(group).map("k{}".format).to_numpy()})
    return Leak(planted, "suspicious discrimination", "cluster", "warning")


def rate_incentive_beside_its_parts(portfolio, spells, rng):
    rates = {"contract_rate": portfolio.loans["contract_rate"]}
    planted = spells_of(portfolio, loans=rates, macro={"market_rate": portfolio.macro["market_rate"]})
    return Leak(planted, "collinear columns", "rate_incentive, contract_rate, market_rate", "error")


def parts_of_an_amount(portfolio, spells, rng):
    amount = portfolio.loans["amount"]
    fee = np.round(amount * rng.uniform(0.01, 0.04, len(amount)), 2)
    planted = spells_of(portfolio, loans={"amount": amount, "fee": fee, "financed": amount + fee})
    return Leak(planted, "collinear columns", "amount, fee, financed", "error")


def rounded_sum(portfolio, spells, rng):
    amount = portfolio.loans["amount"]
    collateral = np.round(amount * 0.3 + 1000 * rng.gamma(2, 1, len(amount)))
    exposure = np.round((amount + collateral) / 100) * 100
    planted = spells_of(portfolio, loans={"amount": amount, "collateral": collateral, "exposure": exposure})
    return Leak(planted, "collinear columns", "amount, collateral, exposure", "warning")


def remaining_term(portfolio, spells, rng):
    frame = spells.frame.assign(remaining=spells.frame["term"] - spells.frame["start"])
    options = {"columns": [*spells.rules.covariate_names, "remaining"]}
    return Leak(replace(spells, frame=frame), "collinear columns", "term, remaining", "error", options)


def loan_age(portfolio, spells, rng):
    frame = spells.frame.assign(mob=spells.frame["start"] + 1)
    options = {"columns": [*spells.rules.covariate_names, "mob"]}
    return Leak(replace(spells, frame=frame), "collinear columns", "mob", "error", options)


def region_beside_branch(portfolio, spells, rng):
    options = {"columns": ["credit_score", "branch", "region"]}
    return Leak(spells, "collinear columns", "region, branch", "error", options)


def national_rate(portfolio):
    return {"policy_rate": portfolio.macro.groupby("month")["market_rate"].transform("mean")}


def policy_rate_in_monthly_vintages(portfolio, spells, rng):
    planted = spells_of(portfolio, macro=national_rate(portfolio))
    opened = planted.frame["loan_id"].map(portfolio.loans.set_index("loan_id")["origination_date"])
    frame = planted.frame.assign(opened=opened.dt.strftime("%Y-%m"))
    return Leak(replace(planted, frame=frame), "calendar-only column", "policy_rate", "error", {"strata": ["opened"]})


def policy_rate_in_yearly_vintages(portfolio, spells, rng):
    planted = spells_of(portfolio, macro=national_rate(portfolio))
    return Leak(planted, "calendar-only column", "policy_rate", "warning", {"strata": "vintage"})


def number_of_the_contract(portfolio, spells, rng):
    number = rng.permutation(len(portfolio.loans)) + 7_000_000
    return Leak(spells_of(portfolio, loans={"contract": number}), "identifier", "contract", "error")


def reference_as_text(portfolio, spells, rng):
    reference = portfolio.loans["loan_id"].map("L-{}".format)
    return Leak(spells_of(portfolio, loans={"ref": reference}), "identifier", "ref", "error")


def customer_as_covariate(portfolio, spells, rng):
    return Leak(spells, "identifier", "customer_id", "error", {"columns": ["csat", "customer_id"]})


def flag_of_the_row_after_the_exit(portfolio, spells, rng):
    return Leak(spells_of(portfolio, performance={"flag": 0}), "constant column", "flag", "warning")


LEAKS = (
    recoveries,
    date_of_charge_off,
    status_at_extraction,
    status_code_as_number,
    next_due_date,
    account_is_inactive,
    share_of_the_last_payment,
    loss_given_default,
    last_payment_by_its_name,
    balance_of_the_same_month,
    request_of_the_same_month,
    limit_cut_at_default,
    satisfaction_of_the_same_month,
    unemployment_of_the_same_month,
    unemployment_before_it_is_published,
    interpolated_growth,
    ever_offered,
    arm_of_the_offer,
    flag_on_since_the_mailing,
    service_since_origination,
    offered_without_the_table,
    topped_up_after_a_year,
    months_on_book,
    age_when_last_seen,
    date_last_seen,
    contacts_in_all,
    instalments_paid,
    score_at_extraction,
    worst_complaints_ever,
    months_to_the_exit,
    score_trained_on_the_outcome,
    segment_trained_on_the_outcome,
    rate_incentive_beside_its_parts,
    parts_of_an_amount,
    rounded_sum,
    remaining_term,
    loan_age,
    region_beside_branch,
    policy_rate_in_monthly_vintages,
    policy_rate_in_yearly_vintages,
    number_of_the_contract,
    reference_as_text,
    customer_as_covariate,
    flag_of_the_row_after_the_exit,
)
