# Brier scores and AUC with the censoring by a Cox model, and two concordances in pairs. Run in this folder:
# Rscript make.R; it writes input.csv and expected.json. Times are untied, as riskRegression keeps who leaves at t among those
# who may be censored at t.
suppressPackageStartupMessages({library(survival); library(riskRegression); library(prodlim); library(jsonlite)})
set.seed(7)
n <- 400
a <- rnorm(n); b <- rbinom(n, 1, 0.5)
leaves <- rexp(n, exp(0.7 * a) / 20); other <- rexp(n, exp(0.5 * b) / 40); censored <- rexp(n, exp(0.9 * a - 0.5 * b) / 20)
time <- pmin(leaves, other, censored)
cause <- ifelse(time == leaves, 1, ifelse(time == other, 2, 0))
d <- data.frame(time = round(time, 6), cause = cause, a = round(a, 6), b = b)
stopifnot(!anyDuplicated(d$time))
d$risk <- round(1 - exp(-12 / 20 * exp(0.7 * d$a)), 6); d$risk24 <- round(1 - exp(-24 / 20 * exp(0.7 * d$a)), 6)
d$other <- round(plogis(-0.3 + 0.4 * d$a + 0.5 * d$b), 6); d$other24 <- round(plogis(0.2 + 0.4 * d$a + 0.5 * d$b), 6)
write.csv(d, "input.csv", row.names = FALSE)
d <- read.csv("input.csv"); d$event <- 1 * (d$cause > 0)
ts <- c(12, 24); R1 <- as.matrix(d[, c("risk", "risk24")]); R2 <- as.matrix(d[, c("other", "other24")])
score <- function(formula, ...) {
  s <- Score(list(one = R1, two = R2), formula = formula, data = d, times = ts, metrics = c("auc", "brier"),
             cens.method = "ipcw", cens.model = "cox", null.model = FALSE, se.fit = FALSE, ...)
  list(brier = as.data.frame(s$Brier$score)$Brier, auc = as.data.frame(s$AUC$score)$AUC)
}
ex <- list(one_cause = score(Surv(time, event) ~ a + b), two_causes = score(Hist(time, cause) ~ a + b, cause = 1))
cens <- coxph(Surv(time, event == 0) ~ a + b, d, ties = "breslow", x = TRUE)
at <- predictCox(cens, newdata = d, times = ts, type = "survival")$survival
ex$uncensored <- list(at12 = at[1:5, 1], at24 = at[1:5, 2])
both <- concordance(Surv(time, event) ~ risk, d, reverse = TRUE); two <- concordance(Surv(time, event) ~ other, d, reverse = TRUE)
f1 <- coxph(Surv(time, event) ~ risk, d); f2 <- coxph(Surv(time, event) ~ other, d)
for (w in c("n", "n/G2")) {
  cc <- concordance(f1, f2, timewt = w, ymax = 24); k <- c(1, -1)
  ex[[paste0("difference_", sub("/", "_over_", w))]] <- list(value = sum(k * coef(cc)), se = sqrt(drop(k %*% vcov(cc) %*% k)))
}
ex$versions <- list(R = as.character(getRversion()), riskRegression = as.character(packageVersion("riskRegression")),
                    survival = as.character(packageVersion("survival")))
write(toJSON(ex, digits = I(12), auto_unbox = TRUE, pretty = TRUE), "expected.json")
