# One metric by R's survival: Rscript metrics.R FOLDER ROWS CASE
# FOLDER holds score.bin, stop.bin, event.bin as doubles. The last line of the output is JSON.
library(survival)
args <- commandArgs(trailingOnly = TRUE)
n <- as.integer(args[2]); case <- args[3]
take <- function(name) readBin(file.path(args[1], paste0(name, ".bin")), "double", n)
frame <- data.frame(stop = take("stop"), event = take("event"), score = take("score"))
if (case == "aalen-johansen") frame$event <- factor(frame$event, 0:2, c("censored", "attrition", "default"))
memory <- function(field) as.numeric(gsub("[^0-9]", "", grep(field, readLines("/proc/self/status"), value = TRUE))) / 1024
invisible(gc())
before <- memory("VmRSS")
seconds <- system.time(fit <- switch(case,
  "uno" = concordance(Surv(stop, event) ~ score, frame, reverse = TRUE, timewt = "n/G2"),
  "aalen-johansen" = survfit(Surv(stop, event) ~ 1, frame),
  concordance(Surv(stop, event) ~ score, frame, reverse = TRUE)))
value <- if (case == "aalen-johansen") c(t(tail(fit$pstate, 1))[-1], t(tail(fit$std.err, 1))[-1]) else
  c(fit$concordance, sqrt(fit$var))
cat(sprintf('{"value": [%s], "cpu": %.4f, "wall": %.4f, "memory": %.1f, "version": "%s"}\n',
  paste(sprintf("%.14g", value), collapse = ", "), sum(seconds[1:2]), seconds[3], memory("VmHWM") - before,
  packageVersion("survival")))
