// Makes the golden values of Flink ML's online learners, on the data sets that make.py wrote.
//
// Flink ML is not in Maven's repository; its jar comes with the Python package (a source distribution, for Python 3.8):
//
//     python3.8 -m pip download --no-deps --no-build-isolation apache-flink-ml==2.3.0     (in it: deps/lib/flink-ml-uber-*.jar, statefun-*.jar)
//     mvn dependency:build-classpath      (of Flink 1.17.2: flink-streaming-java, flink-clients, flink-table-api-java-bridge,
//         flink-table-planner-loader, flink-table-runtime, flink-connector-files, flink-statebackend-rocksdb)
//     java --add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.util=ALL-UNNAMED -cp … MakeFlink.java crates/ml/tests
//
// writes tests/golden/flink.json. Everything runs at parallelism 1, so that batches are those of the file.

import java.io.*;
import java.nio.file.*;
import java.util.*;
import java.util.zip.GZIPInputStream;

import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.typeutils.RowTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.ml.classification.logisticregression.LogisticRegressionModelData;
import org.apache.flink.ml.classification.logisticregression.LogisticRegressionModelDataUtil;
import org.apache.flink.ml.classification.logisticregression.OnlineLogisticRegression;
import org.apache.flink.ml.clustering.kmeans.KMeansModelData;
import org.apache.flink.ml.clustering.kmeans.OnlineKMeans;
import org.apache.flink.ml.linalg.DenseVector;
import org.apache.flink.ml.linalg.typeinfo.DenseVectorTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.types.Row;

public class MakeFlink {
    static Path tests;

    static List<double[]> data(String name) throws IOException {
        List<double[]> rows = new ArrayList<>();
        InputStream file = new GZIPInputStream(Files.newInputStream(tests.resolve("data/" + name + ".csv.gz")));
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(file))) {
            for (String line; (line = reader.readLine()) != null; ) {
                rows.add(Arrays.stream(line.split(",")).mapToDouble(Double::parseDouble).toArray());
            }
        }
        return rows;
    }

    static DenseVector features(double[] row) {
        return new DenseVector(Arrays.copyOf(row, row.length - 1));
    }

    static StreamExecutionEnvironment environment() {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.setParallelism(1);
        env.setRuntimeMode(RuntimeExecutionMode.STREAMING);
        return env;
    }

    static String kMeans(String name, int k, int size, double decay) throws Exception {
        StreamExecutionEnvironment env = environment();
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        List<double[]> rows = data(name);
        rows = rows.subList(0, Math.min(1500, rows.size()));
        List<Row> input = new ArrayList<>();
        for (double[] row : rows) {
            input.add(Row.of(features(row)));
        }
        RowTypeInfo type = new RowTypeInfo(new TypeInformation<?>[] {DenseVectorTypeInfo.INSTANCE}, new String[] {"features"});
        Table points = tables.fromDataStream(env.fromCollection(input, type));
        DenseVector[] centers = new DenseVector[k];
        double[] weights = new double[k];
        for (int i = 0; i < k; i++) {
            centers[i] = features(rows.get(i));
            weights[i] = 1.0;
        }
        Table initial = tables.fromDataStream(env.fromElements(new KMeansModelData(centers, new DenseVector(weights))));
        OnlineKMeans estimator = new OnlineKMeans().setFeaturesCol("features").setPredictionCol("prediction").setK(k)
                .setDecayFactor(decay).setGlobalBatchSize(size).setInitialModelData(initial);
        DataStream<KMeansModelData> models = KMeansModelData.getModelDataStream(estimator.fit(points).getModelData()[0]);
        KMeansModelData last = null;
        int versions = 0;
        try (org.apache.flink.util.CloseableIterator<KMeansModelData> all = models.executeAndCollect()) {
            // The model that it begins with comes first, then one for each batch that is full; what is left over is not learnt.
            for (int i = 0; i <= rows.size() / size && all.hasNext(); i++) {
                last = all.next();
                versions++;
            }
        }
        StringBuilder out = new StringBuilder();
        out.append("\"k_means_" + decay + "/" + name + "\": {\"k\": " + k + ", \"size\": " + size + ", \"decay\": " + decay + ", \"versions\": " + versions + ", \"centers\": [");
        for (int i = 0; i < k; i++) {
            out.append(i > 0 ? ", " : "").append(Arrays.toString(last.centroids[i].values));
        }
        return out.append("], \"weights\": ").append(Arrays.toString(last.weights.values)).append("}").toString();
    }

    static String logistic(String name, int size, double reg, double elasticNet) throws Exception {
        StreamExecutionEnvironment env = environment();
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        List<double[]> rows = data(name);
        List<Row> input = new ArrayList<>();
        for (double[] row : rows) {
            input.add(Row.of(features(row), row[row.length - 1]));
        }
        RowTypeInfo type = new RowTypeInfo(new TypeInformation<?>[] {DenseVectorTypeInfo.INSTANCE, Types.DOUBLE}, new String[] {"features", "label"});
        Table examples = tables.fromDataStream(env.fromCollection(input, type));
        DenseVector zeros = new DenseVector(rows.get(0).length - 1);
        Table initial = tables.fromDataStream(env.fromElements(new LogisticRegressionModelData(zeros, 0L)));
        OnlineLogisticRegression estimator = new OnlineLogisticRegression().setFeaturesCol("features").setLabelCol("label")
                .setPredictionCol("prediction").setReg(reg).setElasticNet(elasticNet).setGlobalBatchSize(size).setInitialModelData(initial);
        DataStream<LogisticRegressionModelData> models = LogisticRegressionModelDataUtil.getModelDataStream(estimator.fit(examples).getModelData()[0]);
        StringBuilder out = new StringBuilder();
        out.append("\"logistic_" + reg + "_" + elasticNet + "/" + name + "\": {\"size\": " + size + ", \"reg\": " + reg + ", \"elastic_net\": " + elasticNet + ", \"weights\": [");
        try (org.apache.flink.util.CloseableIterator<LogisticRegressionModelData> all = models.executeAndCollect()) {
            for (int i = 0; i < rows.size() / size && all.hasNext(); i++) {
                LogisticRegressionModelData model = all.next();
                out.append(i > 0 ? ", " : "").append("{\"version\": " + model.modelVersion + ", \"coefficients\": " + Arrays.toString(model.coefficient.values) + "}");
            }
        }
        return out.append("]}").toString();
    }

    public static void main(String[] args) throws Exception {
        tests = Paths.get(args[0]);
        List<String> all = new ArrayList<>();
        all.add("\"made_by\": \"apache-flink-ml 2.3.0, Flink 1.17.2\"");
        for (double decay : new double[] {0.0, 0.5, 1.0}) {
            all.add(kMeans("bananas", 4, 100, decay));
            all.add(kMeans("image_segments", 7, 150, decay));
        }
        all.add(logistic("phishing", 50, 0.0, 0.0));
        all.add(logistic("phishing", 50, 0.2, 0.5));
        all.add(logistic("breast_cancer", 40, 0.1, 0.3));
        Files.writeString(tests.resolve("golden/flink.json"), "{\n" + String.join(",\n", all) + "\n}\n");
    }
}
