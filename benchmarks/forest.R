# One forest by R's ranger: Rscript forest.R FOLDER ROWS NEW COLUMNS HORIZONS TREES NODE_SIZE
# FOLDER holds x.bin and new.bin (column by column), stop.bin, event.bin, horizons.bin as doubles; risk.bin and survival.bin are
# written there. The last line of the output is JSON.
suppressPackageStartupMessages({library(survival); library(ranger)})
args <- commandArgs(trailingOnly = TRUE)
size <- as.integer(args[-1]); n <- size[1]; m <- size[2]; p <- size[3]
file_of <- function(name) file.path(args[1], paste0(name, ".bin"))
take <- function(name, size) readBin(file_of(name), "double", size)
frame_of <- function(name, rows) as.data.frame(matrix(take(name, rows * p), rows, p, dimnames = list(NULL, paste0("x", seq_len(p)))))
memory <- function(field) as.numeric(gsub("[^0-9]", "", grep(field, readLines("/proc/self/status"), value = TRUE))) / 1024
data <- frame_of("x", n); new <- frame_of("new", m)
data$stop <- take("stop", n); data$event <- take("event", n)
horizons <- take("horizons", size[4])
invisible(gc())
before <- memory("VmRSS")
fitted <- system.time(forest <- ranger(dependent.variable.name = "stop", status.variable.name = "event", data = data,
  num.trees = size[5], min.node.size = size[6], oob.error = FALSE, seed = 1))
held <- memory("VmHWM")
predicted <- system.time(answer <- predict(forest, new))
at <- findInterval(horizons, answer$unique.death.times)
writeBin(rowSums(answer$chf), file_of("risk"))
writeBin(as.vector(cbind(1, answer$survival)[, at + 1]), file_of("survival"))
saved <- file.path(args[1], "forest.rds"); saveRDS(forest, saved)
leaves <- mean(vapply(forest$forest$child.nodeIDs, function(tree) sum(tree[[1]] == 0), 0))
cat(sprintf(paste0('{"fit_cpu": %.4f, "fit_wall": %.4f, "predict_cpu": %.4f, "predict_wall": %.4f, "memory": %.1f, "peak": %.1f, ',
  '"disk": %.4f, "leaves": %.1f, "version": "%s"}\n'), sum(fitted[1:2]), fitted[3], sum(predicted[1:2]), predicted[3],
  held - before, held, file.size(saved) / 2^20, leaves, packageVersion("ranger")))
