// The one name of this ISA that the rest of the library sees.
#include "table.h"

#include "kernels/conv.h"
#include "kernels/copy.h"
#include "kernels/elementwise.h"
#include "kernels/gather.h"
#include "kernels/gemm.h"
#include "kernels/nn.h"
#include "kernels/optimizer.h"
#include "kernels/peak.h"
#include "kernels/pool.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/sparse.h"
#include "kernels/zero_skip.h"
#include "simd/vec.h"

#define PYDL_TEXT_OF(x) #x
#define PYDL_TEXT(x) PYDL_TEXT_OF(x)

namespace pydl::PYDL_ISA {

extern const ElementwiseKernels elementwise_kernels;
extern const ReduceKernels reduce_kernels;
extern const GemmKernels gemm_kernels;
extern const NnKernels nn_kernels;
extern const GatherKernels gather_kernels;
extern const CopyKernels copy_kernels;
extern const RandomKernels random_kernels;
extern const OptimizerKernels optimizer_kernels;
extern const SparseKernels sparse_kernels;
extern const ConvKernels conv_kernels;
extern const PoolKernels pool_kernels;
extern const ZeroSkipKernels zero_skip_kernels;

extern constinit const KernelTable kernels = {
    PYDL_TEXT(PYDL_ISA), kVectorBytes,   elementwise_kernels, reduce_kernels,    gemm_kernels,
    nn_kernels,          gather_kernels, copy_kernels,        random_kernels,    optimizer_kernels,
    sparse_kernels,      conv_kernels,   pool_kernels,        zero_skip_kernels, fma_peak,
    kFmaPeakFlops};

}  // namespace pydl::PYDL_ISA
