# One Cox fit by R's survival: Rscript cox.R FOLDER ROWS COLUMNS HOW
# FOLDER holds x.bin (column by column), start.bin, stop.bin, event.bin, id.bin as doubles. HOW: coxph, fitter (the C code alone,
# as coxph calls it), robust (cluster(id)). The last line of the output is JSON.
library(survival)
args <- commandArgs(trailingOnly = TRUE)
n <- as.integer(args[2]); p <- as.integer(args[3]); how <- args[4]
take <- function(name, size) readBin(file.path(args[1], paste0(name, ".bin")), "double", size)
x <- matrix(take("x", n * p), n, p, dimnames = list(NULL, paste0("x", seq_len(p) - 1)))
start <- take("start", n); stop <- take("stop", n); event <- take("event", n); id <- take("id", n)
panel <- any(start > 0)
y <- if (panel) Surv(start, stop, event) else Surv(stop, event)
frame <- as.data.frame(x)
frame$y <- y; frame$id <- id
formula <- as.formula(paste("y ~", paste(colnames(x), collapse = " + ")))
memory <- function(field) as.numeric(gsub("[^0-9]", "", grep(field, readLines("/proc/self/status"), value = TRUE))) / 1024
invisible(gc())
before <- memory("VmRSS")
seconds <- system.time(fit <- switch(how,
  coxph = coxph(formula, frame, ties = "efron", model = FALSE, x = FALSE, y = FALSE),
  robust = coxph(formula, frame, ties = "efron", cluster = id, model = FALSE, x = FALSE, y = FALSE),
  fitter = if (panel) agreg.fit(x, y, NULL, NULL, NULL, coxph.control(), NULL, "efron", NULL)
           else coxph.fit(x, y, NULL, NULL, NULL, coxph.control(), NULL, "efron", NULL)))
se <- if (how == "robust") sqrt(diag(fit$var)) else numeric(0)
number <- function(v) paste0("[", paste(sprintf("%.12g", v), collapse = ", "), "]")
cat(sprintf('{"coef": %s, "se": %s, "cpu": %.4f, "wall": %.4f, "memory": %.1f, "version": "%s"}\n',
  number(fit$coefficients), number(se), sum(seconds[1:2]), seconds[3], memory("VmHWM") - before,
  packageVersion("survival")))
