/* A stand-in for libnvidia-ml.so.1, for tests. It answers the calls that bitwatt makes through nvidia-ml-py, from a
 * script named in FAKE_NVML_SCRIPT. Every reading is a function of CLOCK_MONOTONIC alone, so all processes agree and
 * the true joules of any stretch are known (truth.py is the same arithmetic in Python).
 *
 * Script: one "key value..." per line. "origin_ns N" is time zero. "gpu UUID" begins a card; the keys after it are
 * that card's. Times are seconds after the origin, powers watts. With "arm PATH" a card's faults and throttles wait until
 * that file holds a number: their times then count from there. With "load PATH" a card draws "load_w" more while the
 * process that writes that file works: its lines are "+" or "-" and a time in ns, the beginnings and ends of work.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  OK = 0,
  UNINITIALIZED = 1,
  INVALID = 2,
  NOT_SUPPORTED = 3,
  NO_PERMISSION = 4,
  NOT_FOUND = 6,
  TOO_SMALL = 7,
  DRIVER_NOT_LOADED = 9,
  GPU_IS_LOST = 15,
  UNKNOWN = 999
};
enum { MAX_GPUS = 16, MAX_POINTS = 256, MAX_SPANS = 32 };
enum { F_ENERGY = 83, F_AVERAGE = 185, F_INSTANT = 186, F_EDPP = 274 };

typedef struct {
  double from, to;
  uint64_t mask;
} span_t;

typedef struct {
  char uuid[96], name[96], bus_id[32];
  int points;
  double at[MAX_POINTS], watts[MAX_POINTS];
  double square_period, square_duty, square_high, square_phase;
  double noise_w, noise_cell;
  uint64_t noise_seed;
  double period, phase, aperture, averaging, gain, offset, sensor_noise, resolution;
  double counter_period, counter_phase, counter_resolution, counter_base;
  int counter_part_time;
  double frozen_at, reset_at, lost_at, fail_rate;
  int fails;
  span_t fail[MAX_SPANS];
  int throttles, missings;
  span_t throttle[MAX_SPANS], missing[MAX_SPANS];
  int no_power_field, no_energy_field, no_usage, usage_averages, no_counter, denied, mig, module_only, no_reason_fields,
      numbers_of_580, ecc, tenants;
  double temperature, temperature_slope, sm_mhz, mem_mhz, app_mhz;
  double limit_w, default_w, min_w, max_w, round_w, settings;
  double load_w, delay, counter_delay;
  char state[512], arm[512], load[512];
} gpu_t;

static gpu_t gpus[MAX_GPUS];
static int gpu_count, started;
static int64_t origin_ns;
static int no_driver;
static uint64_t reads;

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)((int64_t)t.tv_sec * 1000000000 + t.tv_nsec - origin_ns) / 1e9;
}

static double uniform(uint64_t seed, int64_t index) { /* splitmix64 of both, in [-0.5, 0.5) */
  uint64_t z = seed * 0x9E3779B97F4A7C15ull + (uint64_t)index * 0xD1B54A32D192ED03ull + 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  z ^= z >> 31;
  return (double)(z >> 11) / 9007199254740992.0 - 0.5;
}

/* Joules from 0 to t under the points, with the first and last power held outside them. */
static double points_j(const gpu_t *g, double t) {
  double joules = 0, at = 0, watts = g->points ? g->watts[0] : 0;
  for (int i = 0; i < g->points && at < t; i++) {
    double to = g->at[i] < t ? g->at[i] : t, next = g->watts[i];
    if (g->at[i] <= at) {
      watts = next;
      continue;
    }
    double full = g->at[i] - at, end_w = watts + (next - watts) * (to - at) / full;
    joules += (watts + end_w) / 2 * (to - at);
    at = to;
    watts = to < g->at[i] ? end_w : next;
  }
  return joules + (t > at ? watts * (t - at) : 0);
}

static double square_j(const gpu_t *g, double t) {
  if (g->square_period <= 0) return 0;
  double u = t + g->square_phase, whole = floor(u / g->square_period), rest = u - whole * g->square_period;
  double on = g->square_period * g->square_duty, high = whole * on + (rest < on ? rest : on);
  return high * g->square_high;
}

/* Seconds of work up to t by the load's file, which grows while it is read; one file serves all cards. */
enum { MAX_EDGES = 1 << 19 };
static double busy_s(const gpu_t *g, double t) {
  static FILE *file;
  static double at[MAX_EDGES], done[MAX_EDGES];
  static char sign[MAX_EDGES];
  static int edges;
  if (!file) file = fopen(g->load, "r");
  if (!file) return 0;
  for (;;) {
    char text[64];
    long before = ftell(file);
    if (!fgets(text, sizeof text, file) || !strchr(text, '\n') || edges == MAX_EDGES) {
      clearerr(file);
      fseek(file, before, SEEK_SET);
      break;
    }
    at[edges] = (double)(strtoll(text + 1, NULL, 10) - origin_ns) / 1e9;
    sign[edges] = text[0];
    done[edges] = edges ? done[edges - 1] + (sign[edges - 1] == '+' ? at[edges] - at[edges - 1] : 0) : 0;
    edges++;
  }
  int low = 0, high = edges; /* the first edge after t */
  while (low < high) {
    int middle = (low + high) / 2;
    if (at[middle] > t)
      high = middle;
    else
      low = middle + 1;
  }
  return low ? done[low - 1] + (sign[low - 1] == '+' ? t - at[low - 1] : 0) : 0;
}

static double noise_j(const gpu_t *g, double from, double to) {
  if (g->noise_w <= 0) return 0;
  double joules = 0;
  for (int64_t cell = (int64_t)floor(from / g->noise_cell); (double)cell * g->noise_cell < to; cell++) {
    double a = (double)cell * g->noise_cell, b = a + g->noise_cell;
    if (a < from) a = from;
    if (b > to) b = to;
    if (b > a) joules += g->noise_w * 3.4641016151377544 * uniform(g->noise_seed, cell) * (b - a);
  }
  return joules;
}

static double energy_j(const gpu_t *g, double from, double to) {
  double load = g->load[0] ? g->load_w * (busy_s(g, to) - busy_s(g, from)) : 0;
  return points_j(g, to) - points_j(g, from) + square_j(g, to) - square_j(g, from) + noise_j(g, from, to) + load;
}

/* What the sensor publishes at update k: the mean over its aperture, through its gain, offset, noise and resolution. */
static double published_w(const gpu_t *g, int64_t k) {
  double t = g->phase + (double)k * g->period;
  double watts = energy_j(g, t - g->aperture, t) / g->aperture * g->gain + g->offset;
  watts += g->sensor_noise * 3.4641016151377544 * uniform(g->noise_seed + 1, k);
  if (g->resolution > 0) watts = floor(watts / g->resolution + 0.5) * g->resolution;
  return watts;
}

static int64_t update_at(double t, double phase, double period) { return (int64_t)floor((t - phase) / period); }

static double instant_w(const gpu_t *g, double t) {
  return published_w(g, update_at(t - g->delay, g->phase, g->period));
}

static double average_w(const gpu_t *g, double t) {
  int64_t k = update_at(t - g->delay, g->phase, g->period);
  int count = (int)(g->averaging / g->period + 0.5);
  double sum = 0;
  if (count < 1) count = 1;
  for (int i = 0; i < count; i++) sum += published_w(g, k - i);
  return sum / count;
}

/* When the card's faults begin to count: 0, or what its arm file says, or never while that is not there. */
static double armed_at(const gpu_t *g) {
  double at = 0;
  if (!g->arm[0]) return 0;
  FILE *file = fopen(g->arm, "r");
  if (!file) return INFINITY;
  if (fscanf(file, "%lf", &at) != 1) at = INFINITY;
  fclose(file);
  return at;
}

static double counter_at(const gpu_t *g, double t) {
  double base = g->counter_base, from = 0, armed = armed_at(g);
  t -= g->counter_delay;
  if (t - armed > g->frozen_at) t = armed + g->frozen_at;
  if (t - armed >= g->reset_at) {
    base = 0;
    from = armed + g->reset_at;
  }
  int64_t k = update_at(t, g->counter_phase, g->counter_period);
  double tick = g->counter_phase + (double)k * g->counter_period, joules = 0;
  if (g->counter_part_time) {
    int64_t first = update_at(from, g->phase, g->period), last = update_at(tick, g->phase, g->period);
    for (int64_t i = first + 1; i <= last; i++) joules += published_w(g, i) * g->period;
  } else if (tick > from) {
    joules = energy_j(g, from, tick) * g->gain + g->offset * (tick - from);
  }
  joules += base;
  if (g->counter_resolution > 0) joules = floor(joules / g->counter_resolution) * g->counter_resolution;
  return joules < 0 ? 0 : joules;
}

static int in_spans(const span_t *spans, int count, double t) {
  for (int i = 0; i < count; i++)
    if (t >= spans[i].from && t < spans[i].to) return 1;
  return 0;
}

static int fault(const gpu_t *g, double t) {
  if (!started) return UNINITIALIZED;
  t -= armed_at(g);
  if (t >= g->lost_at) return GPU_IS_LOST;
  if (g->denied) return NO_PERMISSION;
  if (g->mig) return NOT_SUPPORTED;
  if (in_spans(g->fail, g->fails, t)) return UNKNOWN;
  if (g->fail_rate > 0 && uniform(g->noise_seed + 2, (int64_t)reads++) + 0.5 < g->fail_rate) return UNKNOWN;
  return OK;
}

static void parse(FILE *file) {
  char line[1024], key[64];
  gpu_t *g = NULL;
  while (fgets(line, sizeof line, file)) {
    int used = 0;
    if (sscanf(line, "%63s %n", key, &used) != 1 || key[0] == '#') continue;
    char *rest = line + used;
    rest[strcspn(rest, "\n")] = 0;
    if (!strcmp(key, "origin_ns")) {
      origin_ns = strtoll(rest, NULL, 10);
      continue;
    }
    if (!strcmp(key, "no_driver")) {
      no_driver = 1;
      continue;
    }
    if (!strcmp(key, "gpu")) {
      g = &gpus[gpu_count++];
      memset(g, 0, sizeof *g);
      snprintf(g->uuid, sizeof g->uuid, "%s", rest);
      snprintf(g->name, sizeof g->name, "NVIDIA Fake");
      g->period = g->aperture = g->counter_period = 0.1;
      g->averaging = 1.0;
      g->gain = 1.0;
      g->noise_cell = 0.01;
      g->counter_base = 1000;
      g->counter_resolution = 0.001;
      g->frozen_at = g->reset_at = g->lost_at = INFINITY;
      g->temperature = 40;
      g->sm_mhz = 1500;
      g->mem_mhz = 2000;
      g->limit_w = g->default_w = g->max_w = 700;
      g->min_w = 200;
      continue;
    }
    if (!g) continue;
    double a = 0, b = 0, c = 0;
    sscanf(rest, "%lf %lf %lf", &a, &b, &c);
#define NUMBER(field) else if (!strcmp(key, #field)) g->field = a
#define WORDS(field) else if (!strcmp(key, #field)) snprintf(g->field, sizeof g->field, "%s", rest)
    if (!strcmp(key, "power") && g->points < MAX_POINTS) {
      g->at[g->points] = a;
      g->watts[g->points++] = b;
    } else if (!strcmp(key, "fail") && g->fails < MAX_SPANS)
      g->fail[g->fails++] = (span_t){a, b, 0};
    else if (!strcmp(key, "missing") && g->missings < MAX_SPANS)
      g->missing[g->missings++] = (span_t){a, b, 0};
    else if (!strcmp(key, "throttle") && g->throttles < MAX_SPANS)
      g->throttle[g->throttles++] = (span_t){a, b, (uint64_t)c};
    else if (!strcmp(key, "noise_seed"))
      g->noise_seed = strtoull(rest, NULL, 10);
    WORDS(name);
    WORDS(bus_id);
    WORDS(state);
    WORDS(arm);
    WORDS(load);
    NUMBER(load_w);
    NUMBER(delay);
    NUMBER(counter_delay);
    NUMBER(square_period);
    NUMBER(square_duty);
    NUMBER(square_high);
    NUMBER(square_phase);
    NUMBER(noise_w);
    NUMBER(noise_cell);
    NUMBER(period);
    NUMBER(phase);
    NUMBER(aperture);
    NUMBER(averaging);
    NUMBER(gain);
    NUMBER(offset);
    NUMBER(sensor_noise);
    NUMBER(resolution);
    NUMBER(counter_period);
    NUMBER(counter_phase);
    NUMBER(counter_resolution);
    NUMBER(counter_base);
    NUMBER(counter_part_time);
    NUMBER(frozen_at);
    NUMBER(reset_at);
    NUMBER(lost_at);
    NUMBER(fail_rate);
    NUMBER(no_power_field);
    NUMBER(no_energy_field);
    NUMBER(no_usage);
    NUMBER(usage_averages);
    NUMBER(no_counter);
    NUMBER(denied);
    NUMBER(mig);
    NUMBER(module_only);
    NUMBER(no_reason_fields);
    NUMBER(numbers_of_580);
    NUMBER(ecc);
    NUMBER(tenants);
    NUMBER(temperature);
    NUMBER(temperature_slope);
    NUMBER(sm_mhz);
    NUMBER(mem_mhz);
    NUMBER(app_mhz);
    NUMBER(limit_w);
    NUMBER(default_w);
    NUMBER(min_w);
    NUMBER(max_w);
    NUMBER(round_w);
    NUMBER(settings);
    else {
      fprintf(stderr, "fake nvml: unknown key %s\n", key);
      abort();
    }
  }
}

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  if (started) return OK;
  const char *path = getenv("FAKE_NVML_SCRIPT");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return DRIVER_NOT_LOADED;
  gpu_count = 0;
  parse(file);
  fclose(file);
  if (no_driver) return DRIVER_NOT_LOADED;
  started = 1;
  return OK;
}
int nvmlShutdown(void) {
  started = 0;
  return OK;
}

const char *nvmlErrorString(int code) {
  switch (code) {
    case OK:
      return "Success";
    case NOT_SUPPORTED:
      return "Not Supported";
    case NO_PERMISSION:
      return "Insufficient Permissions";
    case GPU_IS_LOST:
      return "GPU is lost";
    default:
      return "Unknown Error";
  }
}
static int words(char *out, unsigned size, const char *text) {
  if (strlen(text) >= size) return TOO_SMALL;
  strcpy(out, text);
  return OK;
}
int nvmlSystemGetDriverVersion(char *out, unsigned size) { return words(out, size, "999.1"); }
int nvmlDeviceGetCount_v2(unsigned *count) {
  *count = (unsigned)gpu_count;
  return started ? OK : UNINITIALIZED;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu_t **out) {
  if (index >= (unsigned)gpu_count) return INVALID;
  *out = &gpus[index];
  return OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, gpu_t **out) {
  for (int i = 0; i < gpu_count; i++)
    if (!strcmp(gpus[i].uuid, uuid)) {
      *out = &gpus[i];
      return OK;
    }
  return NOT_FOUND;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, gpu_t **out) {
  for (int i = 0; i < gpu_count; i++)
    if (!strcmp(gpus[i].bus_id, id)) {
      *out = &gpus[i];
      return OK;
    }
  return NOT_FOUND;
}
int nvmlDeviceGetUUID(gpu_t *g, char *out, unsigned size) { return words(out, size, g->uuid); }
int nvmlDeviceGetName(gpu_t *g, char *out, unsigned size) { return words(out, size, g->name); }

int nvmlDeviceGetPowerUsage(gpu_t *g, unsigned *mw) {
  double t = now_s();
  int code = fault(g, t);
  if (code) return code;
  if (g->no_usage || g->module_only) return NOT_SUPPORTED;
  *mw = (unsigned)((g->usage_averages ? average_w(g, t) : instant_w(g, t)) * 1000 + 0.5);
  if (in_spans(g->missing, g->missings, t - armed_at(g))) *mw = 0xFFFFFFFFu;
  return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(gpu_t *g, unsigned long long *mj) {
  double t = now_s();
  int code = fault(g, t);
  if (code) return code;
  if (g->no_counter || g->module_only) return NOT_SUPPORTED;
  *mj = (unsigned long long)(counter_at(g, t) * 1000 + 0.5);
  return OK;
}

static uint64_t throttle_ns(const gpu_t *g, uint64_t bit, double t) {
  double total = 0;
  t -= armed_at(g);
  for (int i = 0; i < g->throttles; i++)
    if ((g->throttle[i].mask & bit) && t > g->throttle[i].from)
      total += (t < g->throttle[i].to ? t : g->throttle[i].to) - g->throttle[i].from;
  return (uint64_t)(total * 1e9);
}

typedef struct {
  uint32_t field, scope;
  int64_t timestamp, latency;
  uint32_t type;
  int32_t code;
  union {
    double d;
    uint32_t u;
    uint64_t ull;
  } value;
} field_t;

int nvmlDeviceGetFieldValues(gpu_t *g, int count, field_t *out) {
  double t = now_s();
  unsigned smoothing = g->numbers_of_580 ? 256 : 251, sw_thermal = g->numbers_of_580 ? 251 : 269;
  for (int i = 0; i < count; i++) {
    field_t *f = &out[i];
    f->code = OK;
    f->timestamp = (int64_t)(t * 1e6);
    if (f->field == F_AVERAGE || f->field == F_INSTANT) {
      f->code = fault(g, t);
      if (!f->code && (g->no_power_field || f->scope != (unsigned)g->module_only)) f->code = NOT_SUPPORTED;
      f->type = 1;
      f->value.u = (unsigned)((f->field == F_AVERAGE ? average_w(g, t) : instant_w(g, t)) * 1000 + 0.5);
      if (in_spans(g->missing, g->missings, t - armed_at(g))) f->value.u = 0xFFFFFFFFu;
    } else if (f->field == F_ENERGY && !g->no_energy_field) {
      f->code = fault(g, t);
      if (!f->code && (g->no_counter || g->module_only)) f->code = NOT_SUPPORTED;
      f->type = 3;
      f->value.ull = (uint64_t)(counter_at(g, t) * 1000 + 0.5);
    } else if (f->field == smoothing && g->settings > 0) {
      f->type = 1;
      f->value.u = 1;
    } else if (f->field == F_EDPP && g->settings > 0) {
      f->type = 1;
      f->value.u = 110;
    } else if (g->numbers_of_580 && g->settings > 0 && f->field > smoothing && f->field <= smoothing + 17) {
      f->type = 1; /* further settings of power smoothing, one of them where later drivers count throttling */
      f->value.u = 1;
    } else if (f->field >= sw_thermal && f->field <= sw_thermal + 2 && !g->no_reason_fields) {
      uint64_t bit = f->field == sw_thermal ? 0x20 : f->field == sw_thermal + 1 ? 0x40 : 0x80;
      f->type = 3;
      f->value.ull = throttle_ns(g, bit, t);
    } else {
      f->code = NOT_SUPPORTED;
    }
  }
  return OK;
}

static int reasons(gpu_t *g, unsigned long long *mask) {
  double t = now_s() - armed_at(g);
  *mask = g->app_mhz > 0 ? 0x2 : 0;
  for (int i = 0; i < g->throttles; i++)
    if (t >= g->throttle[i].from && t < g->throttle[i].to) *mask |= g->throttle[i].mask;
  return t >= g->lost_at ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetCurrentClocksEventReasons(gpu_t *g, unsigned long long *mask) { return reasons(g, mask); }
int nvmlDeviceGetCurrentClocksThrottleReasons(gpu_t *g, unsigned long long *mask) { return reasons(g, mask); }

typedef struct {
  unsigned version, sensor;
  int celsius;
} temperature_t;
int nvmlDeviceGetTemperatureV(gpu_t *g, temperature_t *out) {
  out->celsius = (int)(g->temperature + g->temperature_slope * now_s());
  return now_s() - armed_at(g) >= g->lost_at ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetClockInfo(gpu_t *g, unsigned type, unsigned *mhz) {
  *mhz = (unsigned)(type == 2 ? g->mem_mhz : g->sm_mhz);
  return OK;
}
int nvmlDeviceGetApplicationsClock(gpu_t *g, unsigned type, unsigned *mhz) {
  (void)type;
  *mhz = (unsigned)g->app_mhz;
  return g->app_mhz > 0 ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetArchitecture(gpu_t *g, unsigned *arch) {
  (void)g;
  *arch = 9;
  return OK;
} /* Hopper */
int nvmlDeviceGetC2cModeInfoV(gpu_t *g, void *info) {
  (void)g;
  (void)info;
  return NOT_SUPPORTED;
}
int nvmlDeviceGetMigMode(gpu_t *g, unsigned *now, unsigned *pending) {
  *now = *pending = (unsigned)g->mig;
  return OK;
}
int nvmlDeviceGetEccMode(gpu_t *g, unsigned *now, unsigned *pending) {
  *now = *pending = (unsigned)g->ecc;
  return OK;
}
typedef struct {
  unsigned pid;
  unsigned long long memory;
  unsigned instance, slice;
} process_t;
int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t *g, unsigned *count, process_t *out) {
  unsigned room = *count;
  *count = (unsigned)g->tenants;
  if (g->tenants == 0) return OK;
  if (room < *count) return TOO_SMALL;
  for (int i = 0; i < g->tenants; i++) out[i] = (process_t){(unsigned)(4000000 + i), 1 << 20, 0, 0};
  return OK;
}

/* The limit lives in the file named by "state", so that every process sees it; each set is one line there. */
static double limit_w(const gpu_t *g) {
  double limit = g->limit_w, set;
  FILE *file = g->state[0] ? fopen(g->state, "r") : NULL;
  if (file) {
    while (fscanf(file, "%lf", &set) == 1) limit = set;
    fclose(file);
  }
  return limit;
}
int nvmlDeviceGetEnforcedPowerLimit(gpu_t *g, unsigned *mw) {
  *mw = (unsigned)(limit_w(g) * 1000 + 0.5);
  return OK;
}
int nvmlDeviceGetPowerManagementLimit(gpu_t *g, unsigned *mw) { return nvmlDeviceGetEnforcedPowerLimit(g, mw); }
int nvmlDeviceGetPowerManagementDefaultLimit(gpu_t *g, unsigned *mw) {
  *mw = (unsigned)(g->default_w * 1000);
  return OK;
}
int nvmlDeviceGetPowerManagementLimitConstraints(gpu_t *g, unsigned *low, unsigned *high) {
  *low = (unsigned)(g->min_w * 1000);
  *high = (unsigned)(g->max_w * 1000);
  return OK;
}
int nvmlDeviceSetPowerManagementLimit(gpu_t *g, unsigned mw) {
  if (g->denied) return NO_PERMISSION;
  if (mw < g->min_w * 1000 || mw > g->max_w * 1000) return INVALID;
  FILE *file = g->state[0] ? fopen(g->state, "a") : NULL;
  if (!file) return NOT_SUPPORTED;
  fprintf(file, "%.3f\n", g->round_w > 0 ? floor(mw / 1000.0 / g->round_w + 0.5) * g->round_w : mw / 1000.0);
  fclose(file);
  return OK;
}

/* Settings of newer drivers, answered only with "settings 1". */
static int setting(const gpu_t *g, unsigned *out, unsigned value) {
  *out = value;
  return g->settings > 0 ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetCurrPcieLinkGeneration(gpu_t *g, unsigned *out) { return setting(g, out, 5); }
int nvmlDeviceGetCurrPcieLinkWidth(gpu_t *g, unsigned *out) { return setting(g, out, 16); }
int nvmlDeviceGetPersistenceMode(gpu_t *g, unsigned *out) { return setting(g, out, 1); }
int nvmlDeviceGetComputeMode(gpu_t *g, unsigned *out) { return setting(g, out, 3); }
int nvmlDeviceGetVbiosVersion(gpu_t *g, char *out, unsigned size) {
  return g->settings > 0 ? words(out, size, "96.00.99") : NOT_SUPPORTED;
}
int nvmlDeviceGetBAR1MemoryInfo(gpu_t *g, unsigned long long *out) {
  out[0] = 131072ull << 20;
  return g->settings > 0 ? OK : NOT_SUPPORTED;
}
typedef struct {
  unsigned version, performing[8], requested[8], enforced[8];
} profiles_t;
int nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(gpu_t *g, profiles_t *out) {
  out->enforced[0] = 1u << 3;
  out->enforced[1] = 1u << 1;
  return g->settings > 0 ? OK : NOT_SUPPORTED;
}
