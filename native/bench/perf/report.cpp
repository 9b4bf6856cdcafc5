#include "bench/perf/report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

namespace espalier::perf {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[400];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string timeText(double us) { return format(us < 10 ? "%.2f" : us < 100 ? "%.1f" : "%.0f", us); }

std::string sizeText(uint64_t bytes) {
  if (bytes >= 1'048'576 && bytes % 1'048'576 == 0) return format("%llu MiB", static_cast<unsigned long long>(bytes >> 20));
  if (bytes >= 1'024 && bytes % 1'024 == 0) return format("%llu KiB", static_cast<unsigned long long>(bytes >> 10));
  return format("%llu B", static_cast<unsigned long long>(bytes));
}

using Column = std::pair<std::string, Buffers>;
using Row = std::map<Column, const Result*>;

double medianAt(const Row& row, const Column& column) {
  const auto found = row.find(column);
  return found == row.end() ? 0 : found->second->medianUs;
}

/// The time of one kind of our buffers over that of the fastest peer, "" without one of them.
std::string ratioText(const Row& row, Buffers buffers) {
  double best = 0;
  for (const char* peer : {"openmpi", "ucx"}) {
    const double median = medianAt(row, {peer, Buffers::Any});
    if (median > 0 && (best == 0 || median < best)) best = median;
  }
  const double ours = medianAt(row, {"espalier", buffers});
  return best > 0 && ours > 0 ? format("%.2f", ours / best) : "";
}

/// The time of one kind of our buffers over that of ib_send_lat, round by round; "" where that was not measured.
std::string overFloorText(const Row& row, Buffers buffers) {
  const auto found = row.find({"espalier", buffers});
  return found == row.end() || found->second->overFloor == 0 ? "" : format("%.2f", found->second->overFloor);
}

std::string padded(const std::string& text, size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}

std::string aligned(const std::vector<std::vector<std::string>>& lines) {
  std::vector<size_t> widths(lines.front().size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) text += (i == 0 ? "" : "  ") + padded(line[i], widths[i]);
    text += "\n";
  }
  return text;
}

std::string section(const std::map<uint64_t, Row>& rows) {
  std::vector<Column> columns;
  for (const Column& column : {Column{"espalier", Buffers::Own}, Column{"espalier", Buffers::Any},
                               Column{"openmpi", Buffers::Any}, Column{"ucx", Buffers::Any},
                               Column{"floor", Buffers::Own}, Column{"floor", Buffers::Any}}) {
    if (std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return medianAt(row.second, column) > 0; })) {
      columns.push_back(column);
    }
  }
  const bool hasPeers = std::any_of(columns.begin(), columns.end(), [](const Column& column) {
    return column.first == "openmpi" || column.first == "ucx";
  });
  std::vector<std::vector<std::string>> lines(1, {"size"});
  for (const auto& [library, buffers] : columns) {
    const bool hasKinds = library == "espalier" || library == "floor";
    lines[0].push_back(library + (hasKinds ? std::string(" ") + nameOf(buffers) : ""));
  }
  lines[0].insert(lines[0].end(), {"any p99", "any GB/s"});
  if (hasPeers) lines[0].insert(lines[0].end(), {"own/best", "any/best"});
  const bool hasRatio = std::any_of(rows.begin(), rows.end(), [](const auto& row) {
    return !overFloorText(row.second, Buffers::Own).empty() || !overFloorText(row.second, Buffers::Any).empty();
  });
  if (hasRatio) lines[0].insert(lines[0].end(), {"own/floor", "any/floor"});
  for (const auto& [bytes, row] : rows) {
    std::vector<std::string> line = {sizeText(bytes)};
    for (const Column& column : columns) {
      const double median = medianAt(row, column);
      line.push_back(median > 0 ? timeText(median) : "");
    }
    const auto any = row.find({"espalier", Buffers::Any});
    const bool has = any != row.end();
    line.push_back(has ? timeText(any->second->p99Us) : "");
    line.push_back(has ? format("%.2f", busGBps(any->second->cell, any->second->medianUs)) : "");
    if (hasPeers) line.insert(line.end(), {ratioText(row, Buffers::Own), ratioText(row, Buffers::Any)});
    if (hasRatio) line.insert(line.end(), {overFloorText(row, Buffers::Own), overFloorText(row, Buffers::Any)});
    lines.push_back(line);
  }
  return aligned(lines);
}

}  // namespace

std::string jsonOf(const std::vector<Result>& results) {
  std::string text = "[";
  for (const Result& result : results) {
    text += text.size() > 1 ? ",\n " : "\n ";
    text += format(
        R"({"library": "%s", "collective": "%s", "link": "%s", "buffers": "%s", "ranks": %d, "dtype": "%s", )"
        R"("bytes": %llu, "medianUs": %.3f, "p99Us": %.3f, "busGBps": %.3f})",
        result.library.c_str(), nameOf(result.cell.collective), nameOf(result.cell.link), nameOf(result.cell.buffers),
        result.cell.ranks, nameOf(result.cell.type), static_cast<unsigned long long>(result.cell.bytes),
        result.medianUs, result.p99Us, busGBps(result.cell, result.medianUs));
  }
  return text + (text.size() > 1 ? "\n]\n" : "]\n");
}

std::string csvOf(const std::vector<Result>& results, const std::string& tag) {
  std::string text;
  for (const Result& result : results) {
    if (result.library != "espalier") continue;
    text += format("%s-%s,%s,%d,%llu,%llu,%.2f,%.2f,%.2f,%.2f,%.1f,%.1f\n", tag.c_str(), nameOf(result.cell.buffers),
                   nameOf(result.cell.type), result.cell.ranks, static_cast<unsigned long long>(result.cell.bytes),
                   static_cast<unsigned long long>(result.calls), result.minUs, result.medianUs, result.p99Us,
                   result.meanUs, result.probeUs, result.probeUs);
  }
  return text;
}

std::string tableOf(const std::vector<Result>& results) {
  // In the order in which they were measured.
  std::vector<std::string> titles;
  std::map<std::string, std::map<uint64_t, Row>> sections;
  int dropped = 0, counted = 0;
  double nearUs = 0, farUs = 0;
  for (const Result& result : results) {
    const Cell& cell = result.cell;
    const std::string title = format("%s, %s, %d ranks, %s%s (median µs)", nameOf(cell.collective), nameOf(cell.link),
                                     cell.ranks, nameOf(cell.type), cell.inPlace != 0 ? ", in place" : "");
    if (sections.find(title) == sections.end()) titles.push_back(title);
    sections[title][cell.bytes][{result.library, cell.buffers}] = &result;
    if (result.library != "espalier") continue;
    dropped += result.roundsDropped;
    counted += result.rounds;
    if (result.probeUs <= 0) continue;
    nearUs = nearUs == 0 ? result.probeUs : std::min(nearUs, result.probeUs);
    farUs = std::max(farUs, result.probeUs);
  }
  std::string text;
  for (const std::string& title : titles) text += title + "\n" + section(sections[title]) + "\n";
  text += format("%d rounds counted, %d dropped because the host moved the cores.\n", counted, dropped);
  if (farUs > 0) {
    text += format("Between the cores: %.1f to %.1f µs for an exchange of 64 KiB over shared memory.\n", nearUs, farUs);
  }
  return text;
}

}  // namespace espalier::perf
